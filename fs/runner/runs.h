/*
 * The worker's side of the runner: which commands are under way, and what the runner says of them. The engine's
 * thread only.
 */
#pragma once

#include <stdbool.h>

#include "fs/engine/run.h"
#include "fs/mount/mount_memory.h"

struct runs;

/*
 * SOCKET: to the runner, stays the caller's; MOUNTPOINT: what the commands are told. HEAD: commands are numbered
 * there, so that a result for an earlier worker's is known. NULL when memory is short.
 */
struct runs *runs_new(int socket, const char *mountpoint, struct mount_head *head);
void runs_free(struct runs *runs);

/* As engine/run.h says. */
void runs_begin(void *runs, const struct run_request *request);

/* Reads what the runner has sent and calls back. False when the socket is gone. */
bool runs_receive(void *runs);
