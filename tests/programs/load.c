#include "tests/programs/load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct load_counts load_counts;

void broken(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    _exit(1);
}

int64_t load_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

pthread_t load_start(void *(*run)(void *), void *user)
{
    pthread_t thread;
    int r = pthread_create(&thread, NULL, run, user);
    if (r != 0)
        broken("pthread_create: %s", strerror(r));
    return thread;
}

/* One call has taken since BEGAN_US. */
static void note_stall(int64_t began_us)
{
    long took = (long)(load_now_us() - began_us), longest = atomic_load(&load_counts.longest_us);
    while (took > longest && !atomic_compare_exchange_weak(&load_counts.longest_us, &longest, took))
        ;
}

int load_open(int below, const char *path, int flags)
{
    int file = openat(below, path, O_RDONLY | O_CLOEXEC | flags);
    if (file < 0)
        broken("open %s: %s", path, strerror(errno));
    return file;
}

size_t load_read_pieces(int file, size_t piece, char content[static CONTENT_MOST])
{
    size_t size = 0;
    ssize_t got;
    while ((got = read(file, content + size, piece < CONTENT_MOST - size ? piece : CONTENT_MOST - size)) > 0)
        size += (size_t)got;
    if (got < 0)
        broken("read: %s", strerror(errno));
    return size;
}

size_t load_read(int below, const char *path, char content[static CONTENT_MOST])
{
    int64_t began_us = load_now_us();
    struct stat attributes;
    int file = load_open(below, path, 0);
    ssize_t size = read(file, content, CONTENT_MOST);
    if (size < 0)
        broken("read %s: %s", path, strerror(errno));
    if (fstat(file, &attributes) < 0)
        broken("stat %s: %s", path, strerror(errno));
    if (attributes.st_size != size)
        broken("%s: st_size is %lld, %zd bytes were read", path, (long long)attributes.st_size, size);
    close(file);
    note_stall(began_us);
    atomic_fetch_add(&load_counts.reads, 1);
    atomic_fetch_add(&load_counts.looks, 1);
    return (size_t)size;
}

long load_list(int below, const char *path)
{
    int64_t began_us = load_now_us();
    int opened = load_open(below, path, O_DIRECTORY);
    DIR *entries = fdopendir(opened);
    const struct dirent *entry;
    struct stat attributes;
    long count = 0;
    if (!entries)
        broken("opendir %s: %s", path, strerror(errno));
    while (errno = 0, (entry = readdir(entries))) {
        note_stall(began_us);
        if (fstatat(opened, entry->d_name, &attributes, AT_SYMLINK_NOFOLLOW) < 0)
            broken("%s/%s: listed, then %s", path, entry->d_name, strerror(errno));
        atomic_fetch_add(&load_counts.looks, 1);
        count++;
        began_us = load_now_us();
    }
    if (errno != 0)
        broken("readdir %s: %s", path, strerror(errno));
    closedir(entries);
    atomic_fetch_add(&load_counts.listings, 1);
    return count;
}

void load_id_in_json(const char *content, size_t size, char id[static ID_SIZE])
{
    static const char head[] = "{\"KeyId\":\"";
    const char *end;
    if (size < sizeof(head) + ID_SIZE || memcmp(content, head, sizeof(head) - 1) != 0 ||
        memcmp(content + size - 3, "\"}\n", 3) != 0 ||
        !(end = memchr(content + sizeof(head) - 1, '"', ID_SIZE - 1)))
        broken("client_key.json is torn: %zu bytes", size);
    size_t id_size = (size_t)(end - (content + sizeof(head) - 1));
    memcpy(id, content + sizeof(head) - 1, id_size);
    id[id_size] = '\0';
}

int load_write_control(int directory, const char *line)
{
    int control = openat(directory, "control", O_WRONLY | O_CLOEXEC);
    if (control < 0)
        broken("open control: %s", strerror(errno));
    ssize_t size = (ssize_t)strlen(line);
    int number = write(control, line, (size_t)size) == size ? 0 : errno;
    close(control);
    return number;
}
