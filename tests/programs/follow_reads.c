/*
 * Reads a held descriptor in pieces, and a path that is opened anew each time, while keys are rotated:
 *
 *     follow_reads SECONDS KEYS HELD-PATH HELD-NAME OPENED-PATH OPENED-NAME
 *
 * Each whole read must be, byte for byte, the file of that name of one of the keys in KEYS. Prints figures as JSON.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/programs/load.h"

enum { CONTENTS_MOST = 512, PIECES = 3 };

struct content {
    size_t size;
    long reads;
    char bytes[CONTENT_MOST];
};

struct reading {
    const char *path, *name;
    bool held;
    int64_t until_us;
    long reads, torn;
    size_t count;
    struct content contents[CONTENTS_MOST]; /* all that differ */
};

/* As one reads who looks at the size first. COLD: the kernel has no pages of it. */
static size_t read_held(int file, bool cold, char bytes[static CONTENT_MOST])
{
    struct stat attributes;
    if (fstat(file, &attributes) < 0)
        broken("fstat: %s", strerror(errno));
    size_t size = (size_t)attributes.st_size, piece = size / PIECES + 1, at = 0;
    if (cold)
        posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    while (at < size) {
        size_t wanted = size - at < piece ? size - at : piece;
        ssize_t got = pread(file, bytes + at, wanted, (off_t)at);
        if (got < 0)
            broken("pread: %s", strerror(errno));
        if (got == 0)
            break;
        at += (size_t)got;
    }
    return at;
}

static void note(struct reading *reading, const char *bytes, size_t size)
{
    reading->reads++;
    for (size_t i = reading->count; i > 0; i--)
        if (reading->contents[i - 1].size == size && memcmp(reading->contents[i - 1].bytes, bytes, size) == 0) {
            reading->contents[i - 1].reads++;
            return;
        }
    if (reading->count == CONTENTS_MOST) {
        reading->torn++;
        return;
    }
    struct content *content = &reading->contents[reading->count++];
    content->size = size;
    content->reads = 1;
    memcpy(content->bytes, bytes, size);
}

static void *run(void *user)
{
    struct reading *reading = user;
    static _Thread_local char bytes[CONTENT_MOST];
    int held = load_open(AT_FDCWD, reading->path, 0);
    while (load_now_us() < reading->until_us) {
        int file = reading->held ? held : load_open(AT_FDCWD, reading->path, 0);
        note(reading, bytes, reading->held ? read_held(file, reading->reads % 2, bytes) : load_read_pieces(file, 700, bytes));
        if (!reading->held)
            close(file);
    }
    close(held);
    return NULL;
}

static bool is_a_keys(DIR *keys, const char *name, const struct content *content)
{
    char path[512], own[CONTENT_MOST];
    const struct dirent *entry;
    rewinddir(keys);
    while ((entry = readdir(keys))) {
        snprintf(path, sizeof(path), "%s/%s", entry->d_name, name);
        int file = entry->d_name[0] == '.' ? -1 : openat(dirfd(keys), path, O_RDONLY | O_CLOEXEC);
        if (file < 0)
            continue;
        ssize_t size = read(file, own, sizeof(own));
        close(file);
        if (size == (ssize_t)content->size && memcmp(own, content->bytes, content->size) == 0)
            return true;
    }
    return false;
}

static void report(DIR *keys, struct reading *reading, const char *what)
{
    size_t sizes = 0;
    for (size_t i = 0; i < reading->count; i++) {
        size_t before = 0;
        while (before < i && reading->contents[before].size != reading->contents[i].size)
            before++;
        sizes += before == i;
        if (!is_a_keys(keys, reading->name, &reading->contents[i]))
            reading->torn += reading->contents[i].reads;
    }
    printf("\"%sReads\": %ld, \"%sTorn\": %ld, \"%sContents\": %zu, \"%sSizes\": %zu", what, reading->reads, what,
           reading->torn, what, reading->count, what, sizes);
}

int main(int count, char **words)
{
    static struct reading held, opened;
    if (count != 7) {
        fprintf(stderr, "usage: follow_reads SECONDS KEYS HELD-PATH HELD-NAME OPENED-PATH OPENED-NAME\n");
        return 2;
    }
    int64_t until_us = load_now_us() + atol(words[1]) * 1000000;
    held = (struct reading){.path = words[3], .name = words[4], .held = true, .until_us = until_us};
    opened = (struct reading){.path = words[5], .name = words[6], .until_us = until_us};
    pthread_t threads[] = {load_start(run, &held), load_start(run, &opened)};
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    DIR *keys = opendir(words[2]);
    if (!keys)
        broken("%s: %s", words[2], strerror(errno));
    printf("{");
    report(keys, &held, "Held");
    printf(", ");
    report(keys, &opened, "Opened");
    printf("}\n");
    closedir(keys);
    return 0;
}
