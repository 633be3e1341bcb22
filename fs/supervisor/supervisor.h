/*
 * The supervisor: owns the mount, keeps runner, publisher and a worker running, and unmounts at the end.
 * One thread; it makes no use of curl or OpenSSL. The secrets that it holds are those of its environment (an access
 * key, a proxy's password), which the next worker needs: runner and publisher wipe theirs.
 */
#pragma once

#include <stdbool.h>

#include "fs/config/config.h"
#include "fs/config/file.h"
#include "fs/store/state.h"
#include "kmsapi/credentials/credentials.h"

struct supervisor_parts {
    const struct config *config;
    const struct state *state; /* open; stays the caller's */
    const char *mountpoint;
    int lent;                 /* the descriptor of a mount that somebody else has made (mount_point_take); -1: none */
    const char *options;      /* of -o; NULL: none */
    int ready;                /* where readiness is told by one byte; -1: nobody waits */
    const struct credentials *credentials; /* NULL: from where the configuration says */
    int first_listing_timeout_ms; /* readiness waits that long for the first listing */
    bool to_syslog;           /* it runs in the background */
    const struct configurer *configurer; /* NULL: nothing was read, and nothing is */
    const char *executable;   /* what an upgrade starts; NULL: this mount is not upgraded */
    char *const *arguments;   /* with which it was started, and the new one is */
};

/*
 * Mounts, serves, and returns when the mount is gone: by SIGTERM or SIGINT, or by umount(8). The
 * exit status. Blocks these signals and SIGCHLD for itself.
 */
int supervisor_run(const struct supervisor_parts *parts);

struct handover;

/*
 * Goes on where another version's supervisor has left, in the same process. As supervisor_run; MOUNTPOINT,
 * OPTIONS and READY are not used.
 */
int supervisor_resume(const struct supervisor_parts *parts, const struct handover *handover);
