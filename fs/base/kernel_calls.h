/*
 * System calls that glibc has wrappers of only since 2.36; 2.34 is the oldest that this is built with. As their man pages
 * say; any thread.
 */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Source: linux/mount.h, which cannot be had together with every glibc's sys/mount.h */
enum {
    ATTRIBUTE_RDONLY = 0x1, ATTRIBUTE_NOSUID = 0x2, ATTRIBUTE_NODEV = 0x4, ATTRIBUTE_NOEXEC = 0x8,
    ATTRIBUTE_NOSYMFOLLOW = 0x200000,
    TREE_CLONE = 0x1, TREE_CLOEXEC = O_CLOEXEC,
    MOVE_EMPTY_PATH = 0x4,
};

struct mount_attributes {
    uint64_t attr_set, attr_clr, propagation, userns_fd;
};

static inline int kernel_open_tree(int directory, const char *path, unsigned int flags)
{
    return (int)syscall(SYS_open_tree, directory, path, flags);
}

/* A mount of no name, TREE, is moved to the PATH. */
static inline int kernel_move_mount(int tree, const char *path)
{
    return (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_EMPTY_PATH);
}

static inline int kernel_mount_setattr(int directory, const char *path, unsigned int flags,
                                       const struct mount_attributes *attributes)
{
    return (int)syscall(SYS_mount_setattr, directory, path, flags, attributes, sizeof(*attributes));
}

static inline int kernel_pidfd_open(pid_t process)
{
    return (int)syscall(SYS_pidfd_open, process, 0);
}
