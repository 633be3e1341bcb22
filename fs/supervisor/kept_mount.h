/*
 * A mount in the service manager's keeping: while one supervisor is gone and the next not there yet, systemd's
 * descriptor store holds /dev/fuse, the mount memory and a note of what mount they are, and readers wait instead of
 * failing. The supervisor's thread.
 *
 * Wanted where the unit says so ($AAPFS_KEEP_MOUNT, "yes"): a manager that keeps nothing does not tell, and then
 * SIGTERM must unmount. What comes back is checked like any input.
 */
#pragma once

#include <stdbool.h>

#include "fs/mount/mount_memory.h"
#include "fs/mount/mount_point.h"

struct kept_mount {
    const char *mountpoint, *region, *state; /* the state directory's path */
    struct mount_point *mount_point;
    struct mount_memory *memory;
};

/* Whether this is a service whose mount its manager is to keep. */
bool kept_mount_is_wanted(void);

/* After mounting. Whether the manager has it now; that it could not be given is told. */
bool kept_mount_give(const struct kept_mount *kept);

/* The mount ends: nothing is left to keep. */
void kept_mount_forget(void);

/*
 * Takes back what this process was started with ($LISTEN_FDS, unset by this). True: *MOUNT_POINT is the mount, *MEMORY,
 * made before, its memory. False: there is nothing, or nothing that can be served on; then that is told, and what was
 * left of the mount is detached, to be made anew.
 */
bool kept_mount_take(const struct kept_mount *kept);
