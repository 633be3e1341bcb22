/* Mounting and unmounting. The supervisor's process, before and after everything else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { MOUNT_POINT_PATH_SIZE = 4096 };

struct mount_point {
    char path[MOUNT_POINT_PATH_SIZE]; /* absolute, without links */
    int fuse;         /* the /dev/fuse descriptor, close-on-exec */
    dev_t device;     /* st_dev of the mount, from mountinfo; 0: it is not seen here */
    bool lent;        /* somebody else has made it, and will unmount it */
};

/*
 * The absolute path of the directory PATH, without links. Unlike realpath(3) and stat(2) it asks no daemon: a
 * dead or stopped mount may be there. 0, -ENOENT, -ENOTDIR …
 */
int mount_point_resolve(const char *path, char resolved[static MOUNT_POINT_PATH_SIZE]);

/*
 * Makes the directory PATH if there is none: below /run nothing is left of the time before a boot. What is wrong with it
 * mount_point_mount says.
 */
void mount_point_make(const char *path);

/*
 * Mounts at PATH as the type fuse.aapfs: as root for everybody (allow_other), as another user through fusermount3 for
 * that user. Always with default_permissions, nosuid, nodev, noexec, noatime; OPTIONS (NULL: none) are mount options as
 * -o takes them. A mount of aapfs there that has lost its daemon is detached first, and that is told; a live one is
 * -EBUSY. 0, or negative errno and REASON.
 */
int mount_point_mount(struct mount_point *mount_point, const char *path, const char *options,
                      char *reason, size_t size);

/* Whether SOURCE, as mount(8) puts it in front of a mount point, is a descriptor: "/dev/fd/N". *NUMBER is N then. */
bool mount_point_is_lent(const char *source, int *number);

/*
 * In place of mounting: the open /dev/fuse NUMBER (taken over) of a mount that somebody else has made, and that may be
 * seen here at PATH or not: then publications go by notification. 0, or negative errno and REASON.
 */
int mount_point_take(struct mount_point *mount_point, int number, const char *path, char *reason, size_t size);

/*
 * Unmounts it, unless it was lent, wherever it was moved to, if it is still there; when it is busy it is detached and
 * goes with its last user. 0, also when it is not there any more; negative errno.
 */
int mount_point_unmount(const struct mount_point *mount_point);

/*
 * Where it is mounted now, into PATH; false: nowhere. Asks it (for a second at the most) if its connection has ended: the
 * kernel gives a device number anew at once, so that what has it and lives is another mount.
 */
bool mount_point_find(const struct mount_point *mount_point, char path[static MOUNT_POINT_PATH_SIZE]);

/* Whether DESCRIPTOR is an open /dev/fuse. */
bool mount_point_is_fuse(int descriptor);

/* Whether the kernel still serves the connection of the descriptor FUSE: an unmount ends it, and an abort. */
bool mount_point_is_connected(int fuse);

/*
 * A file; what is written to it ends the connection under whoever still waits for an answer. -1 where the kernel's control
 * filesystem (/sys/fs/fuse/connections) is not mounted, or the connection has ended.
 */
int mount_point_open_abort(const struct mount_point *mount_point);
