#include "fs/mount/mount_point.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSE_USE_VERSION 310
#include <fuse_lowlevel.h>

#include "fs/base/kernel_calls.h"
#include "fs/base/log.h"
#include "fs/base/reason.h"
#include "fs/mount/mount_table.h"
#include "kmsapi/cleanup.h"

/* Source: linux/miscdevice.h and the kernel's Documentation/admin-guide/devices.txt */
enum { MISC_MAJOR = 10, FUSE_MINOR = 229 };

/* What libfuse does not know and the kernel does. */
struct more_options {
    int no_symlinks_followed;
};

static const struct fuse_opt more_options[] = {
    {"nosymfollow", offsetof(struct more_options, no_symlinks_followed), 1},
    {"symfollow", offsetof(struct more_options, no_symlinks_followed), 0},
    FUSE_OPT_END,
};

static int set_more_options(const struct more_options *more, const char *path)
{
    struct mount_attributes attributes = {.attr_set = ATTRIBUTE_NOSYMFOLLOW};
    if (!more->no_symlinks_followed || kernel_mount_setattr(AT_FDCWD, path, 0, &attributes) == 0)
        return 0;
    int r = -errno;
    log_error("%s: nosymfollow: %s; it needs Linux 5.14, and root", path, strerror(errno));
    return r == -EINVAL ? -EOPNOTSUPP : r;
}

/* libfuse knows the kernel's options from its own, and fusermount3's ways: it mounts. */
static int mount_with_libfuse(const char *path, const char *options)
{
    static const struct fuse_lowlevel_ops none = {0};
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct more_options more = {0};
    int descriptor = -ENOMEM;

    if (fuse_opt_add_arg(&args, "aapfs") == 0 &&
        fuse_opt_add_arg(&args, "-ofsname=aapfs,subtype=aapfs,default_permissions") == 0 &&
        fuse_opt_add_arg(&args, "-onosuid,nodev,noexec,noatime") == 0 &&
        (geteuid() != 0 || fuse_opt_add_arg(&args, "-oallow_other") == 0) &&
        (!options || (fuse_opt_add_arg(&args, "-o") == 0 && fuse_opt_add_arg(&args, options) == 0)) &&
        fuse_opt_parse(&args, &more, more_options, NULL) == 0) {
        descriptor = -EINVAL;
        struct fuse_session *session = fuse_session_new(&args, &none, sizeof(none), NULL);
        if (session) {
            descriptor = -EPERM; /* libfuse said why on stderr */
            if (fuse_session_mount(session, path) == 0) {
                int r = set_more_options(&more, path);
                descriptor = r < 0 ? r : fcntl(fuse_session_fd(session), F_DUPFD_CLOEXEC, 3);
                if (descriptor < 0)
                    fuse_session_unmount(session);
            }
            fuse_session_destroy(session);
        }
    }
    fuse_opt_free_args(&args);
    return descriptor;
}

static int run_fusermount(const char *path)
{
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child == 0) {
        execlp("fusermount3", "fusermount3", "-u", "-q", "-z", "--", path, (char *)NULL);
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/* Lazily when it is in use. */
static int detach(const char *path)
{
    if (geteuid() != 0)
        return run_fusermount(path);
    if (umount2(path, UMOUNT_NOFOLLOW) == 0)
        return 0;
    if (errno == EBUSY && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return 0;
    return errno == EINVAL || errno == ENOENT ? 0 : -errno;
}

/* A dead mount of ours makes way; a live one stays. */
static int clear_the_way(const struct mount_point *mount_point, char *reason, size_t size)
{
    const char *path = mount_point->path;
    if (!mount_table_at(path).is_aapfs)
        return 0;
    if (!mount_table_is_dead(path))
        return reason_give(reason, size, -EBUSY, "%s: aapfs is mounted here and alive; umount it first", path);
    int r = detach(path);
    if (r < 0)
        snprintf(reason, size, "%s: a dead mount of aapfs is here and cannot be detached: %s", path, strerror(-r));
    else
        log_notice("%s: a mount of aapfs that had lost its daemon was detached", path);
    return r;
}

int mount_point_resolve(const char *path, char resolved[static MOUNT_POINT_PATH_SIZE])
{
    char link[32];
    _cleanup_(close) int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", directory);
    ssize_t size = readlink(link, resolved, MOUNT_POINT_PATH_SIZE - 1);
    if (size < 0)
        return -errno;
    resolved[size] = '\0';
    return 0;
}

void mount_point_make(const char *path)
{
    char resolved[MOUNT_POINT_PATH_SIZE];
    if (mount_point_resolve(path, resolved) != -ENOENT)
        return;
    mode_t mask = umask(S_IWGRP | S_IWOTH);
    (void)mkdir(path, 0755);
    umask(mask);
}

int mount_point_mount(struct mount_point *mount_point, const char *path, const char *options, char *reason, size_t size)
{
    *mount_point = (struct mount_point){.fuse = -1};
    int r = mount_point_resolve(path, mount_point->path);
    if (r < 0)
        return reason_give(reason, size, r, "%s: %s; %s", path, strerror(-r),
                           r == -ENOENT ? "make an empty directory there first" : "a mount point is an empty directory");
    r = clear_the_way(mount_point, reason, size);
    if (r < 0)
        return r;
    mount_point->fuse = mount_with_libfuse(mount_point->path, options);
    if (mount_point->fuse < 0)
        return reason_give(reason, size, mount_point->fuse, "%s: cannot mount here%s", path,
                           mount_point->fuse == -EINVAL ? ": unknown mount option" : "");
    mount_point->device = mount_table_at(mount_point->path).device;
    return 0;
}

bool mount_point_is_lent(const char *source, int *number)
{
    static const char prefix[] = "/dev/fd/";
    int end = 0;
    return strncmp(source, prefix, sizeof(prefix) - 1) == 0 && strspn(source + sizeof(prefix) - 1, "0123456789") > 0 &&
           sscanf(source + sizeof(prefix) - 1, "%6d%n", number, &end) == 1 && !source[sizeof(prefix) - 1 + (size_t)end];
}

bool mount_point_is_fuse(int descriptor)
{
    struct stat attributes;
    return fstat(descriptor, &attributes) == 0 && S_ISCHR(attributes.st_mode) &&
           attributes.st_rdev == makedev(MISC_MAJOR, FUSE_MINOR);
}

int mount_point_take(struct mount_point *mount_point, int number, const char *path, char *reason, size_t size)
{
    *mount_point = (struct mount_point){.fuse = -1, .lent = true};
    if (!mount_point_is_fuse(number))
        return reason_give(reason, size, -EINVAL, "/dev/fd/%d: no open /dev/fuse; see with-mount in aapfs(1)", number);
    int descriptor = fcntl(number, F_DUPFD_CLOEXEC, 3);
    if (descriptor < 0)
        return reason_give(reason, size, -errno, "/dev/fd/%d: %s", number, strerror(errno));
    close(number);
    mount_point->fuse = descriptor;
    if (mount_point_resolve(path, mount_point->path) < 0)
        snprintf(mount_point->path, sizeof(mount_point->path), "%s", path);
    const struct mounted mounted = mount_table_at(mount_point->path);
    mount_point->device = mounted.is_aapfs ? mounted.device : 0;
    return 0;
}

bool mount_point_is_connected(int fuse)
{
    struct pollfd polled = {.fd = fuse};
    return poll(&polled, 1, 0) >= 0 && !(polled.revents & (POLLERR | POLLNVAL));
}

/*
 * Whether it is what is mounted at PATH. When its connection has ended it may be gone, and its device number another
 * mount's by now: one that answers is not it. Who has no descriptor of it goes by the path.
 */
static bool is_at(const struct mount_point *mount_point, const char *path)
{
    const struct mounted mounted = mount_table_at(path);
    bool lives = mount_point->fuse >= 0 ? mount_point_is_connected(mount_point->fuse)
                                        : strcmp(path, mount_point->path) == 0;
    return mounted.is_aapfs && mounted.device == mount_point->device && (lives || mount_table_is_dead(path));
}

bool mount_point_find(const struct mount_point *mount_point, char path[static MOUNT_POINT_PATH_SIZE])
{
    snprintf(path, MOUNT_POINT_PATH_SIZE, "%s", mount_point->path);
    if (mount_point->device == 0)
        return false;
    /* mount --move; what is mounted over it stays */
    return is_at(mount_point, path) ||
           (mount_table_find(mount_point->device, path, MOUNT_POINT_PATH_SIZE) && is_at(mount_point, path));
}

int mount_point_unmount(const struct mount_point *mount_point)
{
    char path[MOUNT_POINT_PATH_SIZE];
    return !mount_point->lent && mount_point_find(mount_point, path) ? detach(path) : 0;
}

int mount_point_open_abort(const struct mount_point *mount_point)
{
    char path[64];
    snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort", minor(mount_point->device));
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file >= 0 && !mount_point_is_connected(mount_point->fuse)) { /* it may be another one's */
        close(file);
        return -1;
    }
    return file;
}
