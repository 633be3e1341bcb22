/*
 * What a program of ours hands to the installed one when that takes over a mount: descriptors by their numbers,
 * process ids, and what must be the same. It lies in a memfd whose number is in $AAPFS_HANDOVER. The main thread.
 *
 * The two programs may be of different versions: the layout changes with the magic, and a program that does not
 * know it refuses before anything has changed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/config/config.h"
#include "fs/mount/mount_point.h"
#include "fs/store/state.h"

enum handover_role {
    HANDOVER_STAND_BY = 1,   /* be a worker: see whether you could serve, and wait */
    HANDOVER_SUPERVISE = 2,  /* be the supervisor, with its process id, children and descriptors */
};

enum handover_descriptor {
    HANDOVER_FUSE,
    HANDOVER_MEMORY,
    HANDOVER_PUBLISHER_WORKERS_END,
    HANDOVER_PUBLISHER_PUBLISHERS_END,
    HANDOVER_RUNNER_WORKERS_END,
    HANDOVER_RUNNER_RUNNERS_END,
    HANDOVER_LINK, /* a worker's own end; in HANDOVER_SUPERVISE the supervisor's end to its worker */
    HANDOVER_STATE_DIRECTORY,
    HANDOVER_STATE_KEY,
    HANDOVER_STATE_LOCK, /* the supervisor's alone */
    HANDOVER_REQUESTS, /* request_socket.h's, the supervisor's alone */
    HANDOVER_CLIENT,   /* who waits there for the upgrade */
    HANDOVER_CONFIG, /* the configuration's text, as the standby found it good: it may change meanwhile */
    HANDOVER_DESCRIPTORS = 16
};

struct handover {
    char magic[16];
    uint32_t role;
    int32_t descriptors[HANDOVER_DESCRIPTORS]; /* -1: not handed over */
    int32_t worker, publisher, runner; /* process ids; 0: not running */
    uint64_t device;           /* st_dev of the mount */
    uint32_t to_syslog;        /* it runs in the background */
    uint32_t audit;            /* whether opens are answered: the kernel was told once */
    int32_t verdict;           /* of the upgrade that this is */
    char mountpoint[MOUNT_POINT_PATH_SIZE];
    char state[STATE_PATH_SIZE]; /* the state directory, for messages */
    char region[64]; /* whose keys these are: another one's are other keys */
};

/* HANDOVER with its magic and no descriptors. */
void handover_begin(struct handover *handover, enum handover_role role);

/*
 * Into a memfd, whose number goes into the environment of this process (its own copy: in a child, or before
 * execve). All descriptors in it, and the memfd, are inherited from then on. The memfd, or negative errno.
 */
int handover_write(const struct handover *handover);

/* Undoes that: nothing is inherited any more, the memfd is closed. */
void handover_take_back(const struct handover *handover, int memory);

/*
 * What this process was started with: 1 and *HANDOVER; 0 when $AAPFS_HANDOVER is not set; -EPROTO: it is, and it is
 * nothing that this version understands. Closes the memfd, unsets the variable; the descriptors are not inherited
 * by others.
 */
int handover_read(struct handover *handover);
