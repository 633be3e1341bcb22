/*
 * Mounting and unmounting. The supervisor's process, before and after everything else.
 */
#ifndef AAPFS_FS_MOUNT_MOUNT_POINT_H
#define AAPFS_FS_MOUNT_MOUNT_POINT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mount_point {
    char path[4096];  /* absolute, without links */
    int fuse;         /* the /dev/fuse descriptor, close-on-exec */
    dev_t device;     /* st_dev of the mount, from mountinfo */
};

/*
 * Mounts at PATH as the type fuse.aapfs: as root for everybody (allow_other), as another user through
 * fusermount3 for that user. Always with default_permissions, nosuid, nodev, noexec, noatime;
 * OPTIONS (NULL: none) are mount options as -o takes them. 0, or negative errno and REASON.
 */
int mount_point_mount(struct mount_point *mount_point, const char *path, const char *options,
                      char *reason, size_t size);

/*
 * Unmounts it if it is still ours (by device number); when it is busy it is detached and goes with
 * its last user. 0, also when it is not there any more; negative errno.
 */
int mount_point_unmount(const struct mount_point *mount_point);

#endif
