/* What the supervisor's files share; supervisor*.c, upgrade.c, reload.c and nobody else. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/mount/child.h"
#include "fs/mount/mount_memory.h"
#include "fs/mount/mount_point.h"
#include "fs/supervisor/request_socket.h"
#include "fs/supervisor/supervisor.h"

/*
 * The two ends of the publisher's socket, and of the runner's: both stay open here, so that neither side hears of the
 * other's death.
 */
enum { WORKERS_END, PUBLISHERS_END, RUNNERS_END = PUBLISHERS_END };

enum upgrade_stage {
    UPGRADE_NONE,
    UPGRADE_STARTING, /* the installed program has been started, and is to say that it could serve */
    UPGRADE_DRAINING, /* the worker is to finish what is under way */
    UPGRADE_LEAVING,  /* the worker is to end */
    UPGRADE_TAKING_OVER, /* the new worker is to serve */
};

struct upgrade {
    enum upgrade_stage stage;
    struct child standby;
    int link; /* to the standby; -1: none */
    int config; /* the configuration's text, kept for both steps; -1: none */
    dev_t program_device; /* the standby's program */
    ino_t program;
    int64_t until_ms;
    bool resumed; /* this process is the one that was upgraded to, and not all is this version's yet: then all is well */
    /* of the last one, for a worker that still has somebody waiting for it */
    int verdict;
    char reason[256];
};

struct reload {
    struct child reader; /* reads it first: users and groups may be looked up for long */
    int copy, answer;    /* the copy that it fills, and where it tells its result; -1: it does not run */
    bool asked;          /* by a write; else by a signal */
    int64_t until_ms;    /* when the reader is given up */
    struct config *current; /* as it was read last; NULL: as at the start */
    struct config *before;  /* until the worker has the current one */
    bool under_way;         /* the worker has it, and has not told its result */
    bool again;             /* a signal came meanwhile */
};

struct supervisor {
    const struct supervisor_parts *parts;
    struct mount_point mount_point;
    struct mount_memory memory;
    int signals; /* signalfd */
    int publisher_socket[2], runner_socket[2];
    int link;    /* to the worker; -1: none runs */
    struct child publisher, runner, worker;
    /* what workers, publishers and runners had done when these began */
    uint64_t answered_before, published_before, ran_before;
    struct upgrade upgrade;
    struct reload reload;
    struct request_socket requests;
    bool serves;  /* a worker of this run has taken the mount over */
    bool listed;  /* and has seen what KMS lists */
    bool told_ready, leaving;
    bool went_on; /* another run's mount, which the service manager had kept */
    bool kept;    /* the service manager has the mount too (kept_mount.h) */
    bool keeping; /* leaving, and the mount stays for the next supervisor */
    int leave_signal;
    int64_t ready_until_ms, leave_until_ms;
    int status; /* exit status */
};

/* The configuration that holds now. */
static inline const struct config *supervisor_config(const struct supervisor *supervisor)
{
    return supervisor->reload.current ? supervisor->reload.current : supervisor->parts->config;
}
