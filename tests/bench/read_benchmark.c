/*
 * What open(2), read(2) and close(2) of a whole file cost, side by side:
 *
 *     read_benchmark ROUNDS LABEL=PATH...
 *
 * Each round reads each file once, in turn, so that whatever disturbs the machine disturbs all of them
 * alike. Prints, a line a label: the label, p50 and p99 in nanoseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILES_MOST = 8, WARM_UP = 1000 };

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t read_once(const char *path)
{
    char buffer[16384];
    uint64_t began = now_ns();
    int file = open(path, O_RDONLY);
    ssize_t got = file < 0 ? -1 : read(file, buffer, sizeof(buffer));
    if (got <= 0 || close(file) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    return now_ns() - began;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

int main(int count, char **words)
{
    size_t files = (size_t)count - 2, rounds = count > 2 ? strtoul(words[1], NULL, 10) : 0;
    const char *paths[FILES_MOST];
    uint64_t *times[FILES_MOST];
    if (rounds < 100 || files < 1 || files > FILES_MOST) {
        fputs("usage: read_benchmark ROUNDS LABEL=PATH...\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < files; i++) {
        char *equals = strchr(words[2 + i], '=');
        times[i] = calloc(rounds, sizeof(**times));
        if (!equals || !times[i])
            return 2;
        *equals = '\0';
        paths[i] = equals + 1;
    }
    for (size_t round = 0; round < WARM_UP; round++)
        for (size_t i = 0; i < files; i++)
            read_once(paths[i]);
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < files; i++)
            times[i][round] = read_once(paths[i]);
    for (size_t i = 0; i < files; i++) {
        qsort(times[i], rounds, sizeof(**times), compare);
        printf("%s %lu %lu\n", words[2 + i], (unsigned long)times[i][rounds / 2],
               (unsigned long)times[i][rounds - rounds / 100 - 1]);
        free(times[i]);
    }
    return 0;
}
