#include "fs/volumes/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/reason.h"
#include "fs/mount/child.h"
#include "fs/mount/mount_table.h"
#include "fs/volumes/locked_mount.h"
#include "kmsapi/cleanup.h"

/* What the child has found: one write(2) to a pipe. */
struct result {
    int number; /* negative errno */
    char reason[BIND_REASON_SIZE];
};

struct work {
    int (*run)(const struct work *work, struct result *result);
    const char *mountpoint, *aap, *target;
};

static int __attribute__((format(printf, 3, 4)))
fail(struct result *result, int number, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->reason, sizeof(result->reason), format, arguments);
    va_end(arguments);
    result->number = number;
    return number;
}

/* The mount point, if aapfs is mounted there: a descriptor, or negative errno. */
static int open_mountpoint(const struct work *work, struct result *result)
{
    char link[32], path[PATH_MAX];
    _cleanup_(close) int directory = open(work->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 && errno == ENOENT)
        return fail(result, -ENOTCONN, "aapfs is not mounted at %.120s; start it", work->mountpoint);
    if (directory < 0)
        return fail(result, -errno, "%.120s: %s", work->mountpoint, strerror(errno));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", directory);
    ssize_t size = readlink(link, path, sizeof(path) - 1);
    if (size < 0)
        return fail(result, -errno, "%.120s: %s", work->mountpoint, strerror(errno));
    path[size] = '\0';
    if (!mount_table_at(path).is_aapfs)
        return fail(result, -ENOTCONN, "aapfs is not mounted at %.120s; start it", path);
    return steal_descriptor(&directory);
}

static int open_aap(const struct work *work, struct result *result)
{
    _cleanup_(close) int mountpoint = open_mountpoint(work, result);
    if (mountpoint < 0)
        return mountpoint;
    int directory = openat(mountpoint, work->aap, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory >= 0)
        return directory;
    if (errno == ENOENT || errno == ENOTDIR)
        return fail(result, -ENOENT, "no AAP %.200s is shown at %.120s", work->aap, work->mountpoint);
    if (errno == ENOTCONN)
        return fail(result, -ENOTCONN, "aapfs at %.120s has ended; start it", work->mountpoint);
    return fail(result, -errno, "%.120s: %s", work->mountpoint, strerror(errno));
}

static int run_find(const struct work *work, struct result *result)
{
    _cleanup_(close) int directory = open_aap(work, result);
    return directory < 0 ? directory : 0;
}

/* Whether TARGET shows the very directory AAP; what is dead, or another mount's, does not. */
static bool shows(const char *target, int aap)
{
    struct stat wanted, there;
    return fstat(aap, &wanted) == 0 && stat(target, &there) == 0 && there.st_dev == wanted.st_dev &&
           there.st_ino == wanted.st_ino;
}

/* Everything that is mounted at TARGET: a crash may have left two, one upon the other. */
static int detach_all(const char *target, struct result *result)
{
    while (mount_table_at(target).device != 0)
        if (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            return fail(result, -errno, "%.120s: cannot unmount: %s", target, strerror(errno));
    return 0;
}

static int make_target(const char *target, struct result *result)
{
    struct stat there;
    if (mkdir(target, 0755) == 0)
        return 0;
    if (errno != EEXIST || lstat(target, &there) < 0)
        return fail(result, -errno, "%.120s: %s", target, strerror(errno));
    if (S_ISDIR(there.st_mode))
        return 0;
    return fail(result, -ENOTDIR, "%.120s: %s is here that is not of this plugin; remove it", target,
                S_ISLNK(there.st_mode) ? "a symbolic link" : "a file");
}

static int run_make(const struct work *work, struct result *result)
{
    const char *step;
    _cleanup_(close) int aap = open_aap(work, result);
    if (aap < 0)
        return aap;
    if (mount_table_at(work->target).is_aapfs && shows(work->target, aap))
        return 0;
    int r = detach_all(work->target, result);
    if (r < 0)
        return r;
    r = make_target(work->target, result);
    if (r < 0)
        return r;
    r = locked_mount_make(aap, work->target, &step);
    if (r == -ENOSPC)
        return fail(result, r, "%s: %s; without a user namespace (sysctl user.max_user_namespaces) a volume cannot be "
                    "made read-only for good", step, strerror(-r));
    return r < 0 ? fail(result, r, "%s: %s", step, strerror(-r)) : 0;
}

static int run_undo(const struct work *work, struct result *result)
{
    int r = detach_all(work->target, result);
    /* what is no directory was never the plugin's, and stays */
    if (r == 0 && rmdir(work->target) < 0 && errno != ENOENT && errno != ENOTDIR)
        r = fail(result, -errno, "%.120s: %s", work->target, strerror(errno));
    return r;
}

static void __attribute__((noreturn)) be_child(const struct work *work, int out, pid_t parent)
{
    struct result result = {0};
    /* what it makes after the plugin's end nobody knows of, nor would the next one */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    /* it may not end for long: not while it holds the sockets */
    prctl(PR_SET_NAME, "aapfs-bind");
    child_keep_only(&out, 1);
    result.number = work->run(work, &result);
    ssize_t told = write(out, &result, sizeof(result));
    _exit(told == (ssize_t)sizeof(result) ? 0 : 1);
}

/* SIGCHLD is ignored by this program: nobody has to wait for a child, which may be too late to be waited for. */
static int run(const struct work *work, char reason[static BIND_REASON_SIZE])
{
    int ends[2];
    struct result result = {-EIO, "the child died"};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return reason_give(reason, BIND_REASON_SIZE, -errno, "pipe: %s", strerror(errno));
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        be_child(work, ends[1], parent);
    close(ends[1]);
    struct pollfd polled = {.fd = ends[0], .events = POLLIN};
    if (child < 0) {
        fail(&result, -errno, "fork: %s", strerror(errno));
    } else if (poll(&polled, 1, BIND_MS) == 0) {
        kill(child, SIGKILL);
        fail(&result, -ETIMEDOUT, "aapfs at %.120s does not answer",
             work->mountpoint ? work->mountpoint : work->target);
    } else if (read(ends[0], &result, sizeof(result)) != (ssize_t)sizeof(result)) {
        result = (struct result){-EIO, "the child died"};
    }
    close(ends[0]);
    memcpy(reason, result.reason, BIND_REASON_SIZE);
    return result.number;
}

int bind_find_aap(const char *mountpoint, const char *aap, char reason[static BIND_REASON_SIZE])
{
    const struct work work = {run_find, mountpoint, aap, NULL};
    return run(&work, reason);
}

int bind_make(const char *mountpoint, const char *aap, const char *target, char reason[static BIND_REASON_SIZE])
{
    const struct work work = {run_make, mountpoint, aap, target};
    return run(&work, reason);
}

int bind_undo(const char *target, char reason[static BIND_REASON_SIZE])
{
    const struct work work = {run_undo, NULL, NULL, target};
    return run(&work, reason);
}
