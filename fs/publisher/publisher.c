#include "fs/publisher/publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/fuse.h>

#include "fs/base/log.h"
#include "fs/base/stops.h"
#include "fs/mount/privileges.h"
#include "kmsapi/cleanup.h"

struct publisher {
    int socket;
    const char *mountpoint;
    dev_t device;
    int fuse;
};

struct task {
    const struct publisher *publisher;
    struct publisher_work work;
};

/*
 * The mount's own DIRECTORY, opened for this piece of work only: a descriptor that is kept makes
 * umount(8) busy. -ESTALE when something else is mounted there.
 */
static int open_directory(const struct publisher *publisher, const char *directory)
{
    _cleanup_(close) int top = open(publisher->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return -errno;
    struct stat attributes;
    if (fstatat(top, "", &attributes, AT_EMPTY_PATH) < 0)
        return -errno;
    if (attributes.st_dev != publisher->device)
        return -ESTALE;
    int found = openat(top, directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return found < 0 ? -errno : found;
}

/* That it is there is what is expected; where it is not, nobody has a name to believe. */
static void loosen(int directory, const struct publisher_work *work)
{
    for (uint32_t i = 0; i < work->count; i++)
        if (work->steps[i].before != 0)
            (void)mkdirat(directory, work->steps[i].to, 0);
}

/*
 * The directory's own times, when all is done: what somebody asked for before, and the kernel gets only now, counts for
 * nothing then.
 */
static void look_again(int directory)
{
    struct statx attributes;
    (void)statx(directory, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &attributes);
}

/* Once it heard that there are none, the kernel asks nobody: ls -l wants them, since coreutils 9.6 from llistxattr(2). */
static void ask_for_extended_attributes(int directory)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", directory);
    (void)listxattr(path, NULL, 0);
    (void)getxattr(path, "security.capability", NULL, 0);
}

static int carry_out(int directory, enum publisher_action action, const struct publisher_step *step)
{
    if (action == PUBLISHER_RENAME && !step->from[0])
        return unlinkat(directory, step->to, 0) < 0 && errno != ENOENT ? -errno : 0;
    int r = action == PUBLISHER_RMDIR ? unlinkat(directory, step->to, AT_REMOVEDIR)
                                      : renameat(directory, step->from, directory, step->to);
    return r < 0 ? -errno : 0;
}

static void wait_a_little(void)
{
    const struct timespec little = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&little, NULL);
}

/* A notification. 0 or negative errno; for want of memory it is tried until it comes through. */
static int notify(const struct publisher *publisher, const struct iovec *message, int parts)
{
    ssize_t written;
    while ((written = writev(publisher->fuse, message, parts)) < 0 && errno == ENOMEM)
        wait_a_little();
    return written < 0 ? -errno : 0;
}

/* FUSE_NOTIFY_INVAL_ENTRY (linux/fuse.h): the kernel looks PARENT's NAME up anew. */
static int forget_entry(const struct publisher *publisher, const struct publisher_step *step)
{
    size_t length = strlen(step->to);
    struct fuse_notify_inval_entry_out entry = {.parent = step->parent, .namelen = (uint32_t)length};
    struct fuse_out_header header = {
        .len = (uint32_t)(sizeof(header) + sizeof(entry) + length + 1),
        .error = FUSE_NOTIFY_INVAL_ENTRY,
    };
    char name[256];
    memcpy(name, step->to, length + 1);
    struct iovec message[] = {{&header, sizeof(header)}, {&entry, sizeof(entry)}, {name, length + 1}};
    int r = notify(publisher, message, 3);
    return r == -ENOENT ? 0 : r;
}

enum { ATTRIBUTES_ONLY = -1, ALL_OF_IT = 0 };

/*
 * FUSE_NOTIFY_INVAL_INODE: the kernel asks for the attributes of NODE, and drops its pages when these have changed;
 * with ALL_OF_IT it drops what it has of its bytes or listing now, and waits for a page that is being read. -ENOENT: it
 * does not know NODE.
 */
static int forget_inode(const struct publisher *publisher, uint64_t node, int64_t offset)
{
    struct fuse_notify_inval_inode_out inode = {.ino = node, .off = offset};
    struct fuse_out_header header = {
        .len = (uint32_t)(sizeof(header) + sizeof(inode)),
        .error = FUSE_NOTIFY_INVAL_INODE,
    };
    struct iovec message[] = {{&header, sizeof(header)}, {&inode, sizeof(inode)}};
    return notify(publisher, message, 2);
}

/* KNOWN gets a bit for each node that the kernel knows. A link's page is not dropped for its attributes. */
static uint32_t forget_files(const struct task *task)
{
    uint32_t known = 0;
    for (uint32_t i = 0; i < task->work.count; i++) {
        const struct publisher_step *step = &task->work.steps[i];
        bool reachable = task->work.action == PUBLISHER_FOLLOW && step->from[0];
        if (forget_inode(task->publisher, step->node, reachable ? ATTRIBUTES_ONLY : ALL_OF_IT) != -ENOENT)
            known |= UINT32_C(1) << i;
    }
    return known;
}

/*
 * IN_MODIFY and IN_CLOSE_WRITE for who watches the file that the hidden NAME leads to. The session swallows the
 * byte; O_DIRECT keeps it out of the page cache. The last look finds the name spent, and the kernel forgets that the
 * file ever had it: else that would hold the file. What does not work (a read-only mount) only nobody hears.
 */
static void touch(int directory, const char *name)
{
    struct stat attributes;
    int file = openat(directory, name, O_WRONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC);
    if (file >= 0) {
        stop_here("publisher-touches");
        ssize_t written = write(file, "", 1);
        (void)written;
        close(file);
    }
    (void)!fstatat(directory, name, &attributes, AT_SYMLINK_NOFOLLOW);
}

static void touch_files(const struct task *task, uint32_t known, struct publisher_result *result)
{
    if (known == 0)
        return;
    _cleanup_(close) int directory = open_directory(task->publisher, task->work.directory);
    if (directory < 0)
        result->error = -directory;
    for (uint32_t i = 0; i < task->work.count && directory >= 0; i++)
        if (known & UINT32_C(1) << i && task->work.steps[i].from[0])
            touch(directory, task->work.steps[i].from);
}

static void work_through_mount(const struct task *task, struct publisher_result *result)
{
    const struct publisher_work *work = &task->work;
    _cleanup_(close) int directory = open_directory(task->publisher, work->directory);
    int r = directory < 0 ? directory : 0;
    if (r == 0)
        loosen(directory, work);
    for (; r == 0 && result->done < work->count; result->done += r == 0) {
        stop_here(result->done == 0 ? "publisher-first" : "publisher-between");
        r = carry_out(directory, work->action, &work->steps[result->done]);
    }
    if (r == 0) {
        ask_for_extended_attributes(directory);
        look_again(directory);
    }
    stop_here("publisher-last");
    result->error = -r;
}

/* The kernel looks STEP's name up anew, and who lists its directory, or knows what the name showed before, asks again. */
static int forget_name(const struct publisher *publisher, const struct publisher_step *step)
{
    int r = forget_entry(publisher, step);
    if (r == 0)
        r = forget_inode(publisher, step->parent, ALL_OF_IT);
    if ((r == 0 || r == -ENOENT) && step->before != 0)
        r = forget_inode(publisher, step->before, ATTRIBUTES_ONLY);
    return r;
}

static void work_by_notification(const struct task *task, struct publisher_result *result)
{
    for (; result->done < task->work.count; result->done++) {
        const struct publisher_step *step = &task->work.steps[result->done];
        int r = task->work.action == PUBLISHER_ATTRIBUTES
                    ? forget_inode(task->publisher, step->node, ATTRIBUTES_ONLY)
                    : forget_name(task->publisher, step);
        if (r < 0 && r != -ENOENT) {
            result->error = -r;
            return;
        }
    }
}

static void *work_thread(void *argument)
{
    struct task *task = argument;
    enum publisher_action action = task->work.action;
    bool follow = action == PUBLISHER_FOLLOW || action == PUBLISHER_FORGET_FILES;
    if (follow)
        stop_here("publisher-follows");
    uint32_t known = follow ? forget_files(task) : 0;
    /*
     * Whoever waits for the mount must not hold the connection open: when all other processes are gone, that ends
     * the wait. So this thread has descriptors of its own, without /dev/fuse (close_range(2), Linux 5.9).
     */
    bool by_notification = action == PUBLISHER_LOOSEN || action == PUBLISHER_FORGET || action == PUBLISHER_ATTRIBUTES;
    bool notifies = by_notification || action == PUBLISHER_FORGET_FILES;
    if (!notifies)
        (void)close_range((unsigned int)task->publisher->fuse, (unsigned int)task->publisher->fuse, CLOSE_RANGE_UNSHARE);
    struct publisher_result result = {.id = task->work.id, .known = (uint32_t)__builtin_popcount(known)};
    if (by_notification)
        work_by_notification(task, &result);
    else if (action == PUBLISHER_FOLLOW)
        touch_files(task, known, &result);
    else if (!follow)
        work_through_mount(task, &result);
    /* nobody listens any more: then this process is about to end as well */
    (void)send(task->publisher->socket, &result, sizeof(result), MSG_NOSIGNAL);
    free(task);
    return NULL;
}

static bool is_well_formed(const struct publisher_work *work, ssize_t size)
{
    if (size != sizeof(*work) || work->count > PUBLISHER_STEPS ||
        !memchr(work->directory, '\0', sizeof(work->directory)))
        return false;
    for (uint32_t i = 0; i < work->count; i++)
        if (!memchr(work->steps[i].from, '\0', sizeof(work->steps[i].from)) ||
            !memchr(work->steps[i].to, '\0', sizeof(work->steps[i].to)))
            return false;
    return true;
}

/* The last pieces of work that were taken: more than can wait in the socket. */
enum { TAKEN_KEPT = 1024 };

struct taken {
    struct {
        uint64_t id;
        enum publisher_action action;
    } kept[TAKEN_KEPT];
    unsigned int next;
};

static bool is_taken(struct taken *taken, const struct publisher_work *work)
{
    for (unsigned int i = 0; i < TAKEN_KEPT; i++)
        if (taken->kept[i].id == work->id && taken->kept[i].action == work->action)
            return true;
    taken->kept[taken->next].id = work->id;
    taken->kept[taken->next].action = work->action;
    taken->next = (taken->next + 1) % TAKEN_KEPT;
    return false;
}

/* One message of the socket. 0; negative errno at the end. */
static int take_work(const struct publisher *publisher, const pthread_attr_t *detached, struct taken *taken)
{
    _cleanup_(free) struct task *task = malloc(sizeof(*task));
    pthread_t thread;
    if (!task)
        return -ENOMEM;
    task->publisher = publisher;
    ssize_t size = recv(publisher->socket, &task->work, sizeof(task->work), 0);
    if (size < 0 && errno == EINTR)
        return 0;
    if (size <= 0)
        return size < 0 ? -errno : -EPIPE;
    if (!is_well_formed(&task->work, size) || is_taken(taken, &task->work))
        return 0;
    stop_here("publisher-taken");
    /* what was not done is never said to be: the kernel would believe for long what has changed */
    while (pthread_create(&thread, detached, work_thread, task) != 0)
        wait_a_little();
    (void)steal_pointer(&task);
    return 0;
}

int publisher_run(int socket, const char *mountpoint, dev_t device, int fuse)
{
    static const struct publisher_result hello = {.id = PUBLISHER_HELLO};
    const struct publisher publisher = {socket, mountpoint, device, fuse};
    struct taken taken = {0};
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 128 * 1024);
    privileges_forget_secrets();
    /* directories may belong to another user than root's mount */
    int r = privileges_keep_only(UINT64_C(1) << CAP_DAC_OVERRIDE);
    if (r < 0)
        log_error("publisher: capabilities: %s", strerror(-r));
    if (r == 0 && send(socket, &hello, sizeof(hello), MSG_NOSIGNAL) < 0)
        r = -errno;
    while (r == 0)
        r = take_work(&publisher, &detached, &taken);
    pthread_attr_destroy(&detached);
    return r == -EPIPE ? 0 : 1; /* threads may still wait for the mount: the caller leaves without them */
}
