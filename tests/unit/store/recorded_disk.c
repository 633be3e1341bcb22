#include "tests/unit/store/recorded_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/store/store.h"

enum { INODES = 64, OPERATIONS = 256, DESCRIPTORS = 1024, TOP = 0, NAME_SIZE = 128 };

struct content {
    size_t size;
    unsigned char bytes[RECORD_SIZE_MOST];
};

struct inode {
    bool is_directory, is_dirty;
    struct content *now, *synced;
};

/* A name that came to a directory or left it. */
struct name_change {
    int directory, inode; /* inode -1: the name went */
    char name[NAME_SIZE];
    bool is_synced;
};

static struct inode inodes[INODES];
static struct name_change changes[OPERATIONS];
static int inode_count, change_count, inode_of_descriptor[DESCRIPTORS];
static void (*changed)(void);

struct recorded_disk recorded_disk = {.calls_left = -1, .ignored_fsync = -1};

static int new_inode(bool is_directory)
{
    assert_true(inode_count < INODES);
    inodes[inode_count] = (struct inode){
        .is_directory = is_directory,
        .now = calloc(1, sizeof(struct content)),
        .synced = calloc(1, sizeof(struct content)),
    };
    return inode_count++;
}

/* What NAME in DIRECTORY is, when those of the unsynced changes apply that MASK says. */
static int find(int directory, const char *name, uint64_t mask)
{
    int found = -1;
    unsigned int pending = 0;
    for (int i = 0; i < change_count; i++) {
        bool applies = changes[i].is_synced || mask >> pending++ & 1;
        if (applies && changes[i].directory == directory && strcmp(changes[i].name, name) == 0)
            found = changes[i].inode;
    }
    return found;
}

/* The directory that PATH lies in, seen from the directory FROM, and its name there. */
static int locate(int from, const char *path, char name[NAME_SIZE])
{
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        snprintf(name, NAME_SIZE, "%.*s", (int)(slash - path), path);
        from = find(from, name, UINT64_MAX);
    }
    snprintf(name, NAME_SIZE, "%s", path);
    return from;
}

static void change_name(int descriptor, const char *path, int inode)
{
    assert_true(change_count < OPERATIONS);
    struct name_change *change = &changes[change_count++];
    *change = (struct name_change){.inode = inode};
    change->directory = locate(inode_of_descriptor[descriptor], path, change->name);
}

static bool is_dead(void)
{
    if (recorded_disk.calls_left > 0)
        recorded_disk.calls_left--;
    else if (recorded_disk.calls_left == 0)
        errno = EIO;
    return recorded_disk.calls_left == 0;
}

/* -- the recorder (linked with --wrap) --------------------------------------------------------- */

#define DECLARE(type, name, ...)                                                                   \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

DECLARE(int, openat64, int directory, const char *path, int flags, ...);
DECLARE(int, __openat64_2, int directory, const char *path, int flags);
DECLARE(int, fsync, int file);
DECLARE(int, mkdirat, int directory, const char *path, mode_t mode);
DECLARE(int, renameat, int from_directory, const char *from, int to_directory, const char *to);
DECLARE(int, unlinkat, int directory, const char *path, int flags);
DECLARE(ssize_t, pwrite64, int file, const void *data, size_t size, off_t offset);
DECLARE(int, ftruncate64, int file, off_t size);
DECLARE(int, posix_fallocate64, int file, off_t offset, off_t size);

int __wrap_openat64(int directory, const char *path, int flags, ...)
{
    char name[NAME_SIZE];
    if (recorded_disk.recording && is_dead())
        return -1;
    int opened = __real_openat64(directory, path, flags, 0600);
    if (!recorded_disk.recording || opened < 0 || strcmp(path, ".") == 0)
        return opened;
    assert_true(opened < DESCRIPTORS);
    int where = locate(inode_of_descriptor[directory], path, name);
    int inode = find(where, name, UINT64_MAX);
    if (inode < 0) {
        inode = new_inode(false);
        change_name(directory, path, inode);
    } else if (flags & O_TRUNC) {
        inodes[inode].now->size = 0;
        inodes[inode].is_dirty = true;
    }
    inode_of_descriptor[opened] = inode;
    changed();
    return opened;
}

/* The same for clang, where glibc 2.41 checks what is opened. */
int __wrap___openat64_2(int directory, const char *path, int flags)
{
    return __wrap_openat64(directory, path, flags);
}

int __wrap_fsync(int file)
{
    if (recorded_disk.recording && is_dead())
        return -1;
    if (!recorded_disk.recording)
        return __real_fsync(file);
    int number = inode_of_descriptor[file];
    struct inode *inode = &inodes[number];
    if (recorded_disk.fsyncs++ == recorded_disk.ignored_fsync)
        return 0;
    if (inode->is_directory)
        for (int i = 0; i < change_count; i++)
            changes[i].is_synced |= changes[i].directory == number;
    if (!inode->is_directory) {
        memcpy(inode->synced, inode->now, sizeof(*inode->now));
        inode->is_dirty = false;
    }
    changed();
    return 0;
}

int __wrap_mkdirat(int directory, const char *path, mode_t mode)
{
    if (recorded_disk.recording && is_dead())
        return -1;
    int r = __real_mkdirat(directory, path, mode);
    if (recorded_disk.recording && r == 0) {
        change_name(directory, path, new_inode(true));
        changed();
    }
    return r;
}

int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    char name[NAME_SIZE];
    if (recorded_disk.recording && is_dead())
        return -1;
    int r = __real_renameat(from_directory, from, to_directory, to);
    if (recorded_disk.recording && r == 0) {
        int where = locate(inode_of_descriptor[from_directory], from, name);
        change_name(to_directory, to, find(where, name, UINT64_MAX));
        change_name(from_directory, from, -1);
        changed();
    }
    return r;
}

int __wrap_unlinkat(int directory, const char *path, int flags)
{
    if (recorded_disk.recording && is_dead())
        return -1;
    int r = __real_unlinkat(directory, path, flags);
    if (recorded_disk.recording && r == 0) {
        change_name(directory, path, -1);
        changed();
    }
    return r;
}

ssize_t __wrap_pwrite64(int file, const void *data, size_t size, off_t offset)
{
    if (recorded_disk.recording && is_dead())
        return -1;
    ssize_t r = __real_pwrite64(file, data, size, offset);
    if (recorded_disk.recording && r > 0) {
        struct inode *inode = &inodes[inode_of_descriptor[file]];
        assert_true((size_t)offset + (size_t)r <= RECORD_SIZE_MOST);
        memcpy(inode->now->bytes + offset, data, (size_t)r);
        if (inode->now->size < (size_t)(offset + r))
            inode->now->size = (size_t)(offset + r);
        inode->is_dirty = true;
        changed();
    }
    return r;
}

int __wrap_ftruncate64(int file, off_t size)
{
    if (recorded_disk.recording && is_dead())
        return -1;
    int r = __real_ftruncate64(file, size);
    if (recorded_disk.recording && r == 0) {
        struct inode *inode = &inodes[inode_of_descriptor[file]];
        inode->now->size = (size_t)size;
        inode->is_dirty = true;
        changed();
    }
    return r;
}

int __wrap_posix_fallocate64(int file, off_t offset, off_t size)
{
    if (recorded_disk.recording && is_dead())
        return EIO;
    int r = __real_posix_fallocate64(file, offset, size);
    if (recorded_disk.recording && r == 0) {
        struct inode *inode = &inodes[inode_of_descriptor[file]];
        inode->now->size = (size_t)(offset + size);
        inode->is_dirty = true;
        changed();
    }
    return r;
}

static void put_file(const char *path, const struct inode *inode, unsigned int variant)
{
    const struct content *content = inode->is_dirty && variant == 0 ? inode->synced : inode->now;
    size_t size = inode->is_dirty && variant == 1 ? content->size / 2 : content->size;
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(file >= 0 && write(file, content->bytes, size) == (ssize_t)size);
    close(file);
}

static void build(int directory, const char *path, uint64_t mask, unsigned int variant)
{
    char below[512];
    assert_int_equal(mkdir(path, 0700), 0);
    for (int i = 0; i < change_count; i++) {
        int inode = changes[i].directory == directory ? find(directory, changes[i].name, mask) : -1;
        snprintf(below, sizeof(below), "%s/%s", path, changes[i].name);
        if (inode < 0 || access(below, F_OK) == 0)
            continue; /* an earlier change of the same name has put it */
        if (inodes[inode].is_directory)
            build(inode, below, mask, variant);
        else
            put_file(below, &inodes[inode], variant);
    }
}

/* -- for the test ------------------------------------------------------------------------------ */

void recorded_disk_begin(void (*after_call)(void))
{
    changed = after_call;
    inode_count = change_count = 0;
    memset(inode_of_descriptor, 0, sizeof(inode_of_descriptor)); /* what is not known is the top */
    recorded_disk.fsyncs = 0;
    assert_int_equal(new_inode(true), TOP);
    recorded_disk.recording = true;
}

void recorded_disk_end(void)
{
    recorded_disk.recording = false;
    for (int i = 0; i < inode_count; i++) {
        free(inodes[i].now);
        free(inodes[i].synced);
    }
}

unsigned int recorded_disk_pending(void)
{
    unsigned int pending = 0;
    for (int i = 0; i < change_count; i++)
        pending += !changes[i].is_synced;
    return pending;
}

bool recorded_disk_is_dirty(void)
{
    bool dirty = false;
    for (int i = 0; i < inode_count; i++)
        dirty = dirty || inodes[i].is_dirty;
    return dirty;
}

void recorded_disk_build(const char *path, uint64_t mask, unsigned int variant)
{
    build(TOP, path, mask, variant);
}
