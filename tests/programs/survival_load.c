/*
 * Uses a mount while somebody kills its processes, until standard input ends:
 *
 *     survival_load MOUNT AAP PASSWORD
 *
 * 4 readers, 2 listers, and a writer that rotates the key. No call of readers and listers may fail, no file may be
 * torn or go back; a write that succeeded must show its key, one that failed must have changed nothing. Prints
 * figures as JSON; the first broken promise is told on stderr and ends it with 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/programs/load.h"

enum { READERS = 4, LISTERS = 2, WRITES_MOST = 100000 };

/* What a key showed when its write had returned. */
struct made {
    char id[ID_SIZE];
    uint64_t json, pem; /* hashes */
};

static const char *aap, *password;
static int mount_point, directory;
static atomic_bool finished;
static struct made *made; /* in the order of the writes */
static _Atomic long made_count;
static long failed_writes, errors_seen[200];

/* FNV-1a: only to compare bytes that were seen before. */
static uint64_t hash(const char *data, size_t size)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        value = (value ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return value;
}

/* The place of ID among the writes; one that has not returned yet is behind all that have. */
static long place_of(const char *id)
{
    long count = atomic_load(&made_count);
    for (long i = count; i > 0; i--)
        if (strcmp(made[i - 1].id, id) == 0)
            return i - 1;
    return count;
}

static void *read_on(void *unused)
{
    static const char *const others[] = {"client_key.p12", "private_key_data", "private_key.pem",
                                         "certificate.pem", "not_after", "status", "last_error",
                                         "current/client_key.json"};
    static char content_of_threads[READERS][CONTENT_MOST];
    static atomic_int next_thread;
    char *content = content_of_threads[atomic_fetch_add(&next_thread, 1)], id[ID_SIZE];
    long seen = 0;
    for (unsigned int i = 0; !atomic_load(&finished); i++) {
        long newest = atomic_load(&made_count) - 1; /* returned before the open */
        load_id_in_json(content, load_read(directory, "client_key.json", content), id);
        long place = place_of(id);
        if (place < newest || place < seen)
            broken("client_key.json went back: to key %ld after %ld", place, newest > seen ? newest : seen);
        if (place < atomic_load(&made_count))
            seen = place;
        size_t size = load_read(directory, others[i % 8], content);
        if (size == 0 && i % 8 != 6)
            broken("%s is empty", others[i % 8]);
    }
    return NULL;
}

static void *list_on(void *unused)
{
    struct statvfs zeros;
    while (!atomic_load(&finished)) {
        long keys = atomic_load(&made_count);
        if (load_list(mount_point, ".") < 4)
            broken("the mount's listing is short");
        if (load_list(directory, ".") != 16)
            broken("the AAP's listing is short");
        if (load_list(directory, "keys") < keys + 2)
            broken("keys/ has less than the %ld keys that were made", keys);
        if (fstatvfs(mount_point, &zeros) < 0)
            broken("statvfs: %s", strerror(errno));
    }
    return NULL;
}

static void look_at_key(const char *below, struct made *one)
{
    char path[128], content[CONTENT_MOST];
    snprintf(path, sizeof(path), "%sclient_key.json", below);
    size_t size = load_read(directory, path, content);
    load_id_in_json(content, size, one->id);
    one->json = hash(content, size);
    snprintf(path, sizeof(path), "%sprivate_key.pem", below);
    one->pem = hash(content, load_read(directory, path, content));
}

static int write_password(void)
{
    char line[128];
    snprintf(line, sizeof(line), "%s\n", password);
    return load_write_control(directory, line);
}

static void *write_on(void *unused)
{
    struct made before, after;
    look_at_key("", &before);
    while (!atomic_load(&finished)) {
        int number = write_password();
        look_at_key("", &after);
        if (number == 0) {
            long count = atomic_load(&made_count);
            if (strcmp(before.id, after.id) == 0)
                broken("a write succeeded and its key is not there");
            if (place_of(after.id) < count || count == WRITES_MOST)
                broken("a write succeeded and an earlier key is there");
            made[count] = before = after;
            atomic_store(&made_count, count + 1);
        } else {
            failed_writes++;
            errors_seen[number < 200 ? number : 0]++;
            if (strcmp(before.id, after.id) != 0)
                broken("a write failed (%s) and replaced the key", strerror(number));
        }
    }
    return NULL;
}

static void check_all(void)
{
    for (long i = 0; i < made_count; i++) {
        char below[ID_SIZE + 8];
        struct made again;
        snprintf(below, sizeof(below), "keys/%s/", made[i].id);
        look_at_key(below, &again);
        if (again.json != made[i].json || again.pem != made[i].pem || strcmp(again.id, made[i].id) != 0)
            broken("%s has other bytes than when it was made", below);
    }
}

int main(int count, char **words)
{
    pthread_t threads[READERS + LISTERS + 1];
    char rest[64];
    if (count != 4)
        broken("usage: survival_load MOUNT AAP PASSWORD");
    mount_point = open(words[1], O_RDONLY | O_DIRECTORY);
    aap = words[2];
    password = words[3];
    directory = openat(mount_point, aap, O_RDONLY | O_DIRECTORY);
    made = calloc(WRITES_MOST, sizeof(*made));
    if (directory < 0 || !made)
        broken("%s/%s: %s", words[1], aap, strerror(errno));
    if (write_password() != 0)
        broken("the first write failed");
    look_at_key("", &made[0]);
    made_count = 1;

    size_t started = 0;
    for (int i = 0; i < READERS; i++)
        threads[started++] = load_start(read_on, NULL);
    for (int i = 0; i < LISTERS; i++)
        threads[started++] = load_start(list_on, NULL);
    threads[started++] = load_start(write_on, NULL);
    puts("started");
    fflush(stdout);
    while (read(STDIN_FILENO, rest, sizeof(rest)) > 0)
        ;
    atomic_store(&finished, true);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    check_all();

    printf("{\"Reads\": %ld, \"Listings\": %ld, \"Stats\": %ld, \"LongestStallMs\": %.1f, \"Writes\": %ld, "
           "\"FailedWrites\": %ld, \"Errors\": {",
           load_counts.reads, load_counts.listings, load_counts.looks, (double)load_counts.longest_us / 1000, made_count + failed_writes, failed_writes);
    const char *separator = "";
    for (int i = 0; i < 200; i++)
        if (errors_seen[i]) {
            printf("%s\"%s\": %ld", separator, strerrorname_np(i), errors_seen[i]);
            separator = ", ";
        }
    puts("}}");
    return 0;
}
