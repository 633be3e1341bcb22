#include "fs/volumes/locked_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fs/base/kernel_calls.h"
#include "kmsapi/cleanup.h"

static void __attribute__((noreturn)) be_guest(int out, pid_t parent)
{
    int number = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? errno : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* after unshare, which may undo it */
    if (getppid() == parent && write(out, &number, sizeof(number)) == (ssize_t)sizeof(number) && number == 0)
        for (;;)
            pause();
    _exit(1);
}

/* A child in a user namespace of its own, with a copy of this mount namespace; it says that in one errno, 0. */
static int start_guest(pid_t *guest)
{
    int ends[2], number;
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *guest = fork();
    if (*guest == 0)
        be_guest(ends[1], parent);
    int r = *guest < 0 ? -errno : 0;
    close(ends[1]);
    if (r == 0 && read(ends[0], &number, sizeof(number)) != (ssize_t)sizeof(number))
        r = -EIO;
    close(ends[0]);
    return r < 0 ? r : -number;
}

/* SOURCE as a read-only mount in a mount namespace that nobody else sees; only this flag is there to be locked. */
static int prepare(int source, const char *target, const char **step)
{
    struct mount_attributes attributes = {
        .attr_set = ATTRIBUTE_RDONLY,
        .attr_clr = ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV | ATTRIBUTE_NOEXEC,
        .propagation = MS_PRIVATE,
    };
    *step = "copy the mount";
    _cleanup_(close) int tree = kernel_open_tree(source, "", AT_EMPTY_PATH | TREE_CLONE | TREE_CLOEXEC);
    if (tree < 0)
        return -errno;
    *step = "make it read-only";
    if (kernel_mount_setattr(tree, "", AT_EMPTY_PATH, &attributes) < 0)
        return -errno;
    *step = "make a mount namespace";
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    *step = "mount in it";
    return kernel_move_mount(tree, target) < 0 ? -errno : 0;
}

/* What is mounted at TARGET in GUEST's namespace, as a mount of no namespace: a descriptor. */
static int copy_from(pid_t guest, const char *target, const char **step)
{
    char path[64];
    /* a runtime may want to set these itself, or not: they are not locked */
    struct mount_attributes attributes = {.attr_set = ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV | ATTRIBUTE_NOEXEC};
    snprintf(path, sizeof(path), "/proc/%d/ns/mnt", guest);
    *step = "enter the user namespace's mounts";
    _cleanup_(close) int namespace = open(path, O_RDONLY | O_CLOEXEC);
    if (namespace < 0 || setns(namespace, CLONE_NEWNS) < 0)
        return -errno;
    *step = "copy the locked mount";
    _cleanup_(close) int tree = kernel_open_tree(AT_FDCWD, target, TREE_CLONE | TREE_CLOEXEC);
    if (tree < 0 || kernel_mount_setattr(tree, "", AT_EMPTY_PATH, &attributes) < 0)
        return -errno;
    return steal_descriptor(&tree);
}

int locked_mount_make(int source, const char *target, const char **step)
{
    pid_t guest = 0;
    *step = "this mount namespace";
    _cleanup_(close) int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (home < 0)
        return -errno;
    int r = prepare(source, target, step);
    if (r < 0)
        return r;
    *step = "make a user namespace";
    r = start_guest(&guest);
    if (r < 0)
        return r;
    _cleanup_(close) int tree = copy_from(guest, target, step);
    kill(guest, SIGKILL);
    if (tree < 0)
        return tree;
    *step = "mount for the container";
    if (setns(home, CLONE_NEWNS) < 0 || kernel_move_mount(tree, target) < 0)
        return -errno;
    return 0;
}
