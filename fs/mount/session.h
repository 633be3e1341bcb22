/*
 * FUSE requests in and out. One thread, which never blocks: everything that is read is in memory,
 * everything that waits is handed to the engine.
 *
 * There are no file handles and no state per open: OPEN and OPENDIR are answered with ENOSYS once,
 * and the kernel never sends them again (protocol 7.23 and 7.27).
 */
#ifndef AAPFS_FS_MOUNT_SESSION_H
#define AAPFS_FS_MOUNT_SESSION_H

#include <stdint.h>

#include "fs/config.h"
#include "fs/keys/engine.h"
#include "fs/keys/registry.h"
#include "fs/mount/pending.h"
#include "fs/mount/publication.h"
#include "fs/tree/content.h"

struct session;

struct session_parts {
    struct registry *registry;
    struct publications *publications;
    struct pending *pending;
    struct engine *engine;
    struct content_owner owner;
    const char *region, *endpoint, *mountpoint;
};

/* Takes over the mount behind the descriptor FUSE. NULL, with a line on stderr by libfuse. */
struct session *session_new(const struct session_parts *parts, int fuse);

/* Serves until the mount is gone or session_stop. 0 or negative errno. */
int session_run(struct session *session);

/* Makes session_run return after the request in hand; from a signal handler too. */
void session_stop(struct session *session);

void session_free(struct session *session);

#endif
