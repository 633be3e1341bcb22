/*
 * How a read-only mount is told to reload or to upgrade, since nobody can write its control: by a socket in the state
 * directory, which only root or the mount's user can reach: those who may signal the supervisor. One who asks at a time;
 * the next one waits in the kernel. The supervisor's thread.
 *
 * Messages are worker_link.h's: WORKER_WANTS_UPGRADE or WORKER_WANTS_RELOAD, answered by WORKER_VERDICT.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fs/mount/worker_link.h"

struct request_socket {
    int listening; /* -1: the mount is not read-only */
    int client;    /* who asks; -1: nobody does */
    enum worker_message_kind wanted; /* 0: it has not said it yet */
};

/* In the state's DIRECTORY, whose lock is held. 0 or negative errno. */
int request_socket_open(struct request_socket *requests, int directory);

/* What to poll for POLLIN; -1: nothing. */
int request_socket_polled(const struct request_socket *requests);

/* What somebody wants now, once; 0: nothing. */
enum worker_message_kind request_socket_take(struct request_socket *requests);

/* Answers whoever waits for WANTED, if anybody does: NUMBER 0, or an errno and why. */
void request_socket_answer(struct request_socket *requests, enum worker_message_kind wanted, int number,
                           const char *reason);

/* The mount ends. */
void request_socket_close(struct request_socket *requests, int directory);

/*
 * The other side: asks the supervisor whose state is DIRECTORY and waits. 0, or negative errno and REASON; -ENOENT: nobody
 * listens there.
 */
int request_socket_ask(const char *directory, enum worker_message_kind wanted, char *reason, size_t size);
