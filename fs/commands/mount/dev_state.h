/*
 * The state of `aapfs --dev`: a private directory that goes when the mount does. The main thread.
 */
#ifndef AAPFS_FS_COMMANDS_MOUNT_DEV_STATE_H
#define AAPFS_FS_COMMANDS_MOUNT_DEV_STATE_H

#include "fs/store/state.h"

struct dev_state {
    char path[STATE_PATH_SIZE - 16];
    struct state_places places; /* both below PATH */
};

/* A new one, in $TMPDIR or /tmp. 0, or negative errno, which was told. */
int dev_state_make(struct dev_state *dev);

/* Removes it with everything in it; what cannot be removed is told. */
void dev_state_remove(const struct dev_state *dev);

#endif
