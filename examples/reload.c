/*
 * Reads a client key and reads it again whenever it is replaced.
 *
 *     cc -o reload examples/reload.c && ./reload /run/aap/payments
 *
 * The directory is watched, not the file: a rotation renames a new file over the old name, and a watch
 * on a file stays with the file that it was put on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* The whole file, NUL-terminated; free() it. st_size is exact, and one read(2) gets it all. */
static char *read_file(int directory, const char *name, size_t *size)
{
    struct stat attributes;
    char *text = NULL;
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && fstat(file, &attributes) == 0 &&
        (text = malloc((size_t)attributes.st_size + 1)) != NULL) {
        ssize_t got = read(file, text, (size_t)attributes.st_size);
        if (got == attributes.st_size) {
            text[got] = '\0';
            *size = (size_t)got;
        } else {
            free(text);
            text = NULL;
        }
    }
    if (file >= 0)
        close(file);
    return text;
}

/*
 * `current` leads to one key's directory, whose files never change: key and id read through it belong
 * together even if a rotation happens in between.
 */
static int load(const char *path)
{
    char current[PATH_MAX];
    size_t key_size = 0, id_size = 0;
    snprintf(current, sizeof(current), "%s/current", path);
    int directory = open(current, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        fprintf(stderr, "%s: no key yet: %s\n", path, strerror(errno));
        return -1;
    }
    char *key = read_file(directory, "client_key.json", &key_size);
    char *id = read_file(directory, "client_key_id", &id_size);
    if (key && id) {
        /* here the program would hand KEY to its KMS instance client */
        printf("client key %.*s, %zu bytes\n", (int)strcspn(id, "\n"), id, key_size);
        fflush(stdout);
        explicit_bzero(key, key_size);
    } else {
        fprintf(stderr, "%s: %s\n", current, strerror(errno));
    }
    int result = key && id ? 0 : -1;
    free(key);
    free(id);
    close(directory);
    return result;
}

int main(int count, char **words)
{
    _Alignas(struct inotify_event) char events[4096];
    if (count != 2) {
        fprintf(stderr, "usage: reload DIRECTORY\n");
        return 2;
    }
    int watch = inotify_init1(IN_CLOEXEC);
    if (watch < 0 || inotify_add_watch(watch, words[1], IN_MOVED_TO | IN_ONLYDIR) < 0) {
        fprintf(stderr, "%s: %s\n", words[1], strerror(errno));
        return 1;
    }
    load(words[1]); /* after the watch: nothing is missed in between */
    for (;;) {
        ssize_t got = read(watch, events, sizeof(events));
        if (got < 0 && errno != EINTR)
            return 1;
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const struct inotify_event *)(events + at);
            /* the last name that moves; an overflow means that some event was missed */
            if (event->mask & IN_Q_OVERFLOW || (event->len && !strcmp(event->name, "current")))
                load(words[1]);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
}
