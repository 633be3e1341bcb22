/*
 * The runner of aapfs check: a profile may name a program that prints credentials, and it runs as it does for a mount.
 * The main thread.
 */
#pragma once

#include <sys/types.h>

#include "fs/runner/credential_runs.h"

struct check_runner {
    int socket;
    pid_t process;
    struct credential_runs *runs; /* NULL: there is no runner */
};

/* Before there are other threads or secrets. MOUNTPOINT outlives it. */
void check_runner_start(struct check_runner *runner, const char *mountpoint);
void check_runner_end(struct check_runner *runner);
