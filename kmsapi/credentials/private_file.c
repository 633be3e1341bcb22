#include "kmsapi/credentials/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "kmsapi/cleanup.h"

enum { SIZE_MOST = 64 * 1024 };

static int refuse(int number, const char *path, const char *what, char *reason, size_t size)
{
    snprintf(reason, size, "%.160s: %s", path, what);
    return -number;
}

static int check(int descriptor, const char *path, char *reason, size_t size)
{
    struct stat status;
    if (fstat(descriptor, &status) < 0)
        return refuse(errno, path, strerror(errno), reason, size);
    if (!S_ISREG(status.st_mode))
        return refuse(EINVAL, path, "not a regular file", reason, size);
    if (status.st_uid != 0 && status.st_uid != geteuid())
        return refuse(EPERM, path, "belongs to another user: refused; chown it", reason, size);
    if (status.st_mode & (S_IWGRP | S_IWOTH))
        return refuse(EPERM, path, "others can write to it: refused; chmod go-w", reason, size);
    return 0;
}

/* How much it holds, or negative errno. One byte more than SIZE_MOST tells that it is too large. */
static ssize_t read_whole(int descriptor, char *buffer)
{
    size_t used = 0;
    while (used <= SIZE_MOST) {
        ssize_t got = read(descriptor, buffer + used, SIZE_MOST + 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

/* What SIZE bytes of a file hold as text, or NULL and why not. */
static const char *text_of(const char *buffer, size_t size, const char **why)
{
    static const char mark[] = "\xef\xbb\xbf";
    bool utf16 = size >= 2 && (memcmp(buffer, "\xff\xfe", 2) == 0 || memcmp(buffer, "\xfe\xff", 2) == 0);
    if (utf16 || memchr(buffer, '\0', size)) {
        *why = utf16 ? "is in UTF-16; save it as UTF-8" : "holds a NUL";
        return NULL;
    }
    return strncmp(buffer, mark, 3) == 0 ? buffer + 3 : buffer;
}

int private_file_read(const char *path, char **text, char *reason, size_t size)
{
    /* O_NONBLOCK: a fifo would hold the thread */
    _cleanup_(close) int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        snprintf(reason, size, "%.200s", path);
        return -ENOENT;
    }
    if (descriptor < 0 && errno == EACCES)
        return refuse(EACCES, path, "it cannot be read as its user, without capabilities; chown it", reason, size);
    if (descriptor < 0)
        return refuse(errno, path, strerror(errno), reason, size);
    int r = check(descriptor, path, reason, size);
    if (r < 0)
        return r;
    char *buffer = OPENSSL_malloc(SIZE_MOST + 2);
    if (!buffer)
        return refuse(ENOMEM, path, "memory is short", reason, size);
    ssize_t got = read_whole(descriptor, buffer);
    if (got < 0)
        r = refuse((int)-got, path, strerror((int)-got), reason, size);
    else if (got > SIZE_MOST)
        r = refuse(EFBIG, path, "larger than 64 KiB", reason, size);
    if (r == 0) {
        const char *why = NULL;
        buffer[got] = '\0';
        const char *content = text_of(buffer, (size_t)got, &why);
        *text = content ? OPENSSL_strdup(content) : NULL;
        r = !content ? refuse(EINVAL, path, why, reason, size) : *text ? 0 : -ENOMEM;
    }
    OPENSSL_clear_free(buffer, SIZE_MOST + 2);
    return r;
}
