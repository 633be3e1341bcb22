/*
 * Giving up what a process does not need. At its start, while it has one thread.
 */
#ifndef AAPFS_FS_MOUNT_PRIVILEGES_H
#define AAPFS_FS_MOUNT_PRIVILEGES_H

#include <stdint.h>

/*
 * From here on this process has of its capabilities only those of KEPT (bits by CAP_*'s number),
 * cannot get others back, and no program that it starts gains any. 0 or negative errno.
 */
int privileges_keep_only(uint64_t kept);

#endif
