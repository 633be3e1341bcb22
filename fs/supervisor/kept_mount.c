#include "fs/supervisor/kept_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/model/numbers.h"
#include "fs/mount/mount_table.h"
#include "fs/mount/service_notify.h"
#include "fs/store/state.h"
#include "fs/worker/session.h"
#include "kmsapi/cleanup.h"

/* Source: sd_listen_fds(3) */
enum { FIRST = 3, MOST = 64 };

enum part { PART_FUSE, PART_MEMORY, PART_NOTE, PARTS };

static const char *const names[PARTS] = {"aapfs-fuse", "aapfs-memory", "aapfs-note"};

static const char magic[16] = "aapfs kept 1";

struct note {
    char magic[16];
    uint64_t device;
    char mountpoint[MOUNT_POINT_PATH_SIZE];
    char state[STATE_PATH_SIZE];
    char region[64];
};

static int make_note(const struct kept_mount *kept)
{
    struct note note = {.device = kept->mount_point->device};
    memcpy(note.magic, magic, sizeof(magic));
    snprintf(note.mountpoint, sizeof(note.mountpoint), "%s", kept->mount_point->path);
    snprintf(note.state, sizeof(note.state), "%s", kept->state);
    snprintf(note.region, sizeof(note.region), "%s", kept->region);
    _cleanup_(close) int file = memfd_create(names[PART_NOTE], MFD_CLOEXEC);
    if (file < 0 || write(file, &note, sizeof(note)) != (ssize_t)sizeof(note))
        return -errno;
    return steal_descriptor(&file);
}

void kept_mount_forget(void)
{
    for (enum part part = 0; part < PARTS; part++)
        (void)service_notify_forget(names[part]); /* a manager that does not hear it forgets all when the service ends */
}

bool kept_mount_is_wanted(void)
{
    const char *wanted = getenv("AAPFS_KEEP_MOUNT");
    return getenv("NOTIFY_SOCKET") && wanted && strcmp(wanted, "yes") == 0;
}

bool kept_mount_give(const struct kept_mount *kept)
{
    if (!kept_mount_is_wanted())
        return false;
    _cleanup_(close) int note = make_note(kept);
    int r = note < 0 ? note : service_notify_forget(names[PART_NOTE]); /* another version's may be there */
    if (r == 0)
        r = service_notify_store(names[PART_FUSE], kept->mount_point->fuse);
    if (r == 0)
        r = service_notify_store(names[PART_MEMORY], kept->memory->descriptor);
    if (r == 0)
        r = service_notify_store(names[PART_NOTE], note);
    if (r < 0) {
        log_warning("the service manager cannot keep the mount: %s", strerror(-r));
        kept_mount_forget();
    }
    return r == 0;
}

/* Where the kernel tells the connection it must be that of the mount; where it does not, the note's word stands. */
static bool is_connection_of(int fuse, dev_t device)
{
    char path[64], line[128];
    unsigned int connection = minor(device);
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fuse);
    _cleanup_(fclose) FILE *told = fopen(path, "re");
    while (told && fgets(line, sizeof(line), told))
        if (sscanf(line, "fuse_connection: %u", &connection) == 1)
            break;
    return connection == minor(device);
}

static bool read_note(int file, struct note *note)
{
    return file >= 0 && pread(file, note, sizeof(*note), 0) == (ssize_t)sizeof(*note) &&
           memcmp(note->magic, magic, sizeof(magic)) == 0 && note->mountpoint[0] == '/' &&
           memchr(note->mountpoint, '\0', sizeof(note->mountpoint)) &&
           memchr(note->state, '\0', sizeof(note->state)) && memchr(note->region, '\0', sizeof(note->region));
}

enum { FITS, OTHER_VERSION, NONSENSE };

/* What a worker would find: that it could not begin would be told again and again, while readers wait. */
static int try_to_serve(int memory, int fuse)
{
    struct mount_memory mapped;
    if (mount_memory_map(&mapped, memory) < 0)
        return OTHER_VERSION;
    if (!numbers_open(mapped.numbers))
        return NONSENSE;
    return session_try(&mapped, fuse) < 0 ? OTHER_VERSION : FITS;
}

/* In a child: all of the memory is mapped for it, and it may be anything. */
static int ask_whether_it_fits(int memory, int fuse)
{
    pid_t child = fork();
    if (child == 0)
        _exit(try_to_serve(memory, fuse));
    int status = OTHER_VERSION;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : NONSENSE;
}

/* NULL: it can be served on; else why not. */
static const char *judge(const struct kept_mount *kept, const struct note *note, const char *path, const int parts[PARTS])
{
    const struct mounted mounted = mount_table_at(note->mountpoint);
    struct mount_memory memory;
    if (strcmp(note->mountpoint, path) != 0)
        return "it was on another directory";
    if (!mounted.is_aapfs || mounted.device != (dev_t)note->device)
        return "it is not mounted any more";
    if (!mount_point_is_fuse(parts[PART_FUSE]) || !is_connection_of(parts[PART_FUSE], (dev_t)note->device))
        return "its descriptor is not that mount's";
    if (!mount_point_is_connected(parts[PART_FUSE]))
        return "its connection has ended";
    if (strcmp(note->region, kept->region) != 0)
        return "the configuration names another region";
    if (strcmp(note->state, kept->state) != 0)
        return "the configuration names another state";
    int copy = fcntl(parts[PART_MEMORY], F_DUPFD_CLOEXEC, FIRST);
    if (copy < 0)
        return "its memory is missing";
    bool sealed = mount_memory_is_sealed(copy);
    bool mapped = mount_memory_map_head(&memory, copy) == 0;
    bool whole = mapped && memory.head->init_size > 0 && memory.head->served;
    bool deadly = mapped && memory.head->crashes >= MOUNT_MEMORY_CRASHES_MOST;
    mount_memory_drop(&memory);
    if (!sealed)
        return "its memory can be cut by others";
    if (deadly)
        return "workers crashed with it again and again";
    int fits = whole ? ask_whether_it_fits(parts[PART_MEMORY], parts[PART_FUSE]) : OTHER_VERSION;
    return fits == FITS ? NULL : fits == NONSENSE ? "its memory makes no sense" : "another version has served it";
}

/* The numbers of what came, by part; -1: it did not. What is none of them is closed. */
static bool collect(int parts[PARTS])
{
    const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS"), *list = getenv("LISTEN_FDNAMES");
    char *copy = list ? strdup(list) : NULL, *rest = copy;
    bool ours = process && count && strtol(process, NULL, 10) == getpid();
    long many = ours ? strtol(count, NULL, 10) : 0;
    for (enum part part = 0; part < PARTS; part++)
        parts[part] = -1;
    for (int i = 0; i < many && i < MOST; i++) {
        const char *name = rest ? strsep(&rest, ":") : "";
        enum part part = 0;
        while (part < PARTS && (strcmp(name, names[part]) != 0 || parts[part] >= 0))
            part++;
        if (part < PARTS && fcntl(FIRST + i, F_SETFD, FD_CLOEXEC) == 0)
            parts[part] = FIRST + i;
        else if (ours)
            close(FIRST + i);
    }
    free(copy);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return parts[PART_FUSE] >= 0 || parts[PART_MEMORY] >= 0 || parts[PART_NOTE] >= 0;
}

/* Detaches what is mounted at PATH if FUSE is its connection: nobody will answer it any more. */
static void detach_from(const char *path, int fuse)
{
    const struct mounted mounted = mount_table_at(path);
    struct mount_point left = {.device = mounted.device, .fuse = fuse};
    if (!mounted.is_aapfs || !mount_point_is_fuse(fuse) || !is_connection_of(fuse, mounted.device))
        return;
    snprintf(left.path, sizeof(left.path), "%s", path);
    (void)mount_point_unmount(&left); /* one that stays is in the way, and that is told */
}

/* From where the note says, or wherever it was moved to (mount --move). */
static void detach_noted(const struct note *note, int fuse)
{
    char path[MOUNT_POINT_PATH_SIZE];
    if (mount_table_at(note->mountpoint).device == (dev_t)note->device)
        detach_from(note->mountpoint, fuse);
    else if (mount_table_find((dev_t)note->device, path, sizeof(path)))
        detach_from(path, fuse);
}

static void refuse(const struct kept_mount *kept, const struct note *note, int parts[PARTS], const char *reason)
{
    char path[MOUNT_POINT_PATH_SIZE];
    log_warning("the mount that the service manager has kept is made anew: %s", reason);
    kept_mount_forget();
    if (note->device != 0)
        detach_noted(note, parts[PART_FUSE]);
    if (mount_point_resolve(kept->mountpoint, path) == 0)
        detach_from(path, parts[PART_FUSE]);
    for (enum part part = 0; part < PARTS; part++)
        cleanup_close(&parts[part]);
}

bool kept_mount_take(const struct kept_mount *kept)
{
    int parts[PARTS];
    struct note note;
    struct mount_memory memory;
    char path[MOUNT_POINT_PATH_SIZE];
    if (!collect(parts))
        return false;
    const char *reason = "it comes without a note that this version knows";
    if (!read_note(parts[PART_NOTE], &note))
        note = (struct note){0};
    else if (mount_point_resolve(kept->mountpoint, path) < 0)
        reason = "its directory is gone";
    else
        reason = judge(kept, &note, path, parts);
    if (!reason && mount_memory_map_head(&memory, parts[PART_MEMORY]) < 0)
        reason = "its memory cannot be mapped";
    if (reason) {
        refuse(kept, &note, parts, reason);
        return false;
    }
    close(parts[PART_NOTE]);
    mount_memory_drop(kept->memory);
    *kept->memory = memory;
    *kept->mount_point = (struct mount_point){.fuse = parts[PART_FUSE], .device = (dev_t)note.device};
    memcpy(kept->mount_point->path, note.mountpoint, sizeof(note.mountpoint));
    struct mount_head *head = kept->memory->head;
    head->config++;              /* it may be another one */
    head->worker_was_killed = 1; /* whatever it had in hand is not to blame */
    log_notice("%s: the mount goes on", note.mountpoint);
    return true;
}
