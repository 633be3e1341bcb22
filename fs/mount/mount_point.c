#include "fs/mount/mount_point.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "kmsapi/cleanup.h"

/* Undoes mountinfo's octal escapes (space, tab, newline, backslash) in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (from[0] == '\\' && from[1] && from[2] && from[3]) {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

/*
 * The device number of what is mounted at PATH, the topmost last, without touching the mount: a stat
 * would ask a daemon that does not answer yet. 0 when nothing is.
 */
static dev_t device_at(const char *path)
{
    _cleanup_(fclose) FILE *mountinfo = fopen("/proc/self/mountinfo", "re");
    _cleanup_(free) char *line = NULL;
    size_t room = 0;
    dev_t device = 0;

    while (mountinfo && getline(&line, &room, mountinfo) > 0) {
        unsigned int major_number, minor_number;
        _cleanup_(free) char *mounted_at = NULL;
        if (sscanf(line, "%*d %*d %u:%u %*s %ms", &major_number, &minor_number, &mounted_at) != 3)
            continue;
        unescape(mounted_at);
        if (strcmp(mounted_at, path) == 0)
            device = makedev(major_number, minor_number);
    }
    return device;
}

/* libfuse knows the kernel's options from its own, and fusermount3's ways: it mounts. */
static int mount_with_libfuse(const char *path, const char *options)
{
    static const struct fuse_lowlevel_ops none = {0};
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int descriptor = -ENOMEM;

    if (fuse_opt_add_arg(&args, "aapfs") == 0 &&
        fuse_opt_add_arg(&args, "-ofsname=aapfs,subtype=aapfs,default_permissions") == 0 &&
        fuse_opt_add_arg(&args, "-onosuid,nodev,noexec,noatime") == 0 &&
        (geteuid() != 0 || fuse_opt_add_arg(&args, "-oallow_other") == 0) &&
        (!options || (fuse_opt_add_arg(&args, "-o") == 0 && fuse_opt_add_arg(&args, options) == 0))) {
        descriptor = -EINVAL;
        struct fuse_session *session = fuse_session_new(&args, &none, sizeof(none), NULL);
        if (session) {
            descriptor = -EPERM; /* libfuse said why on stderr */
            if (fuse_session_mount(session, path) == 0)
                descriptor = fcntl(fuse_session_fd(session), F_DUPFD_CLOEXEC, 3);
            fuse_session_destroy(session);
        }
    }
    fuse_opt_free_args(&args);
    return descriptor;
}

int mount_point_mount(struct mount_point *mount_point, const char *path, const char *options,
                      char *reason, size_t size)
{
    struct stat attributes;
    mount_point->fuse = -1;
    if (!realpath(path, mount_point->path) || stat(mount_point->path, &attributes) < 0) {
        int error = errno;
        snprintf(reason, size, "%s: %s; make an empty directory there first", path,
                 strerror(error));
        return -error;
    }
    if (!S_ISDIR(attributes.st_mode)) {
        snprintf(reason, size, "%s: not a directory", path);
        return -ENOTDIR;
    }
    mount_point->fuse = mount_with_libfuse(mount_point->path, options);
    if (mount_point->fuse < 0) {
        snprintf(reason, size, "%s: cannot mount here%s", path,
                 mount_point->fuse == -EINVAL ? ": unknown mount option" : "");
        return mount_point->fuse;
    }
    mount_point->device = device_at(mount_point->path);
    return 0;
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

int mount_point_unmount(const struct mount_point *mount_point)
{
    const char *path = mount_point->path;
    if (device_at(path) != mount_point->device)
        return 0;
    if (geteuid() != 0)
        return run_fusermount(path);
    if (umount2(path, UMOUNT_NOFOLLOW) == 0)
        return 0;
    if (errno == EBUSY && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return 0;
    return errno == EINVAL || errno == ENOENT ? 0 : -errno;
}
