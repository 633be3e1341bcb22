#include "fs/store/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "kmsapi/cleanup.h"

static int write_all(int file, const unsigned char *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = pwrite(file, data + done, size - done, (off_t)done);
        if (put < 0 && errno != EINTR)
            return -errno;
        if (put == 0)
            return -EIO;
        done += put > 0 ? (size_t)put : 0;
    }
    return 0;
}

int store_file_check_owner(int directory, const char *path, char *reason, size_t size)
{
    struct stat attributes;
    if (fstat(directory, &attributes) < 0)
        return -errno;
    bool ours = attributes.st_uid == geteuid();
    if (ours && (attributes.st_mode & 077) == 0)
        return 0;
    snprintf(reason, size, "%s: %s; it must be this user's alone: chown it and chmod 0700", path,
             ours ? "others may look into it" : "it is another user's");
    return -EACCES;
}

DIR *store_file_list(int directory, const char *name)
{
    _cleanup_(close) int opened = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = opened < 0 ? NULL : fdopendir(opened);
    if (entries)
        (void)steal_descriptor(&opened);
    return entries;
}

int store_file_sync(int directory, const char *below)
{
    if (!below)
        return fsync(directory) < 0 ? -errno : 0;
    _cleanup_(close) int opened =
        openat(directory, below, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return opened < 0 || fsync(opened) < 0 ? -errno : 0;
}

int store_file_read(int directory, const char *path, size_t most, struct store_file *read_file)
{
    struct stat attributes;
    *read_file = (struct store_file){0};
    _cleanup_(close) int file = openat(directory, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0 || fstat(file, &attributes) < 0)
        return -errno;
    if (!S_ISREG(attributes.st_mode))
        return -EINVAL;
    if (attributes.st_size > (off_t)most)
        return -EMSGSIZE;
    size_t size = (size_t)attributes.st_size;
    *read_file = (struct store_file){OPENSSL_malloc(size ? size : 1), size};
    if (!read_file->data)
        return -ENOMEM;
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(file, read_file->data + done, size - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            int r = got < 0 ? -errno : -EIO;
            store_file_clear(read_file);
            return r;
        }
        done += (size_t)got;
    }
    return 0;
}

void store_file_clear(struct store_file *file)
{
    OPENSSL_clear_free(file->data, file->size);
    *file = (struct store_file){0};
}

/* A file of ours alone, new: what has the name may be a FIFO, which would keep the opener waiting, or open to others. */
static int create_anew(int directory, const char *name)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int file = openat(directory, name, flags, 0600);
    if (file < 0 && errno == EEXIST && unlinkat(directory, name, 0) == 0)
        file = openat(directory, name, flags, 0600);
    return file < 0 ? -errno : file;
}

static int write_and_rename(int directory, const char *name, const void *data, size_t size, bool sync)
{
    char temporary[512];
    if (snprintf(temporary, sizeof(temporary), "%s.new", name) >= (int)sizeof(temporary))
        return -ENAMETOOLONG;
    _cleanup_(close) int file = create_anew(directory, temporary);
    if (file < 0)
        return file;
    int r = write_all(file, data, size);
    if (r == 0 && sync && fsync(file) < 0)
        r = -errno;
    if (r == 0 && renameat(directory, temporary, directory, name) < 0)
        r = -errno;
    if (r < 0)
        unlinkat(directory, temporary, 0);
    return r;
}

int store_file_write(int directory, const char *name, const void *data, size_t size)
{
    int r = write_and_rename(directory, name, data, size, true);
    return r < 0 ? r : store_file_sync(directory, NULL);
}

int store_file_write_unsynced(int directory, const char *name, const void *data, size_t size)
{
    return write_and_rename(directory, name, data, size, false);
}

int store_file_make_directory(int directory, const char *name)
{
    return mkdirat(directory, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* PATH itself; the one above it is there. */
static int make_one(const char *path)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    _cleanup_(free) char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    _cleanup_(close) int above = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return above < 0 ? -errno : store_file_sync(above, NULL);
}

int store_file_make_path(const char *path)
{
    _cleanup_(free) char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int r = access(copy, F_OK) == 0 ? 0 : make_one(copy);
        *slash = '/';
        if (r < 0)
            return r;
    }
    return make_one(copy);
}

int store_file_reserve(int directory, const char *name, size_t size)
{
    _cleanup_(close) int file =
        openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return -errno;
    /* posix_fallocate returns its error, and writes where the filesystem cannot reserve */
    int r = -posix_fallocate(file, 0, (off_t)size);
    if (r == 0 && fsync(file) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(directory, name, 0);
        return r;
    }
    return steal_descriptor(&file);
}

int store_file_fill(int file, const void *data, size_t size)
{
    /* cut first: whoever dies right after the write leaves a whole file */
    if (ftruncate(file, (off_t)size) < 0)
        return -errno;
    int r = write_all(file, data, size);
    return r == 0 && fsync(file) < 0 ? -errno : r;
}

int store_file_remove(int directory, const char *below, const char *path)
{
    if (unlinkat(directory, path, 0) < 0)
        return -errno;
    return store_file_sync(directory, below);
}
