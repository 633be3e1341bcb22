/*
 * The worker: the process that answers FUSE requests (its first thread, the session) and talks to
 * KMS (its second, the engine). Puts the parts together; run by the supervisor in a child.
 */
#pragma once

#include <stdbool.h>

#include "fs/config/config.h"
#include "fs/mount/mount_point.h"
#include "fs/store/state.h"
#include "kmsapi/credentials/credentials.h"

struct configurer;

struct worker_parts {
    const struct config *config; /* with which it begins */
    const struct configurer *configurer; /* reads another one; NULL: there is none */
    const struct state *state;
    const struct mount_point *mount_point;
    int memory;    /* descriptor of the mount memory */
    int publisher; /* socket to the publisher */
    int runner;    /* socket to the runner */
    int link;      /* socket to the supervisor (worker_link.h) */
    const struct credentials *credentials; /* NULL: from where the configuration says */
    bool stand_by; /* another worker serves still: tell whether this one could, and wait for WORKER_GO */
};

enum { WORKER_LEFT = 10 }; /* exit status of a worker that left its mount to another */

/* Serves until the mount is gone. The exit status: 0 only then; WORKER_LEFT after WORKER_LEAVE. */
int worker_run(const struct worker_parts *parts);
