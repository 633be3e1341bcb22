/*
 * Rotates the keys of two AAPs while everything reads them, and checks every byte:
 *
 *     rotation_load MOUNT ROTATIONS AAP AAP
 *
 * Prints figures as JSON; the first broken promise is told on stderr and ends it with 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/programs/load.h"

enum { AAPS = 2, NAMES = 10, ROTATIONS_MOST = 100000 };

static const char *const names[NAMES] = {
    "current",       "client_key.json", "client_key.p12", "private_key_data", "private_key.pem",
    "certificate.pem", "client_key_id",  "key_algorithm",  "not_before",       "not_after"};
static const char *const standing[] = {"control", "status", "last_error", "keys"};

struct aap {
    const char *name;
    int directory;
    char (*ids)[ID_SIZE];       /* by generation; generation 0 is the first key */
    _Atomic long generation;    /* the newest whose write has returned; -1: none */
    long moved[NAMES];          /* IN_MOVED_TO seen */
    long file_events;           /* on a watched client_key.json */
};

static struct aap aaps[AAPS];
static long rotations;
static atomic_bool finished;
static atomic_long reads, absent;

/* How a file is read; the size. */
typedef size_t read_whole(int file, char content[CONTENT_MOST]);

static size_t read_pieces(int file, char content[CONTENT_MOST])
{
    return load_read_pieces(file, 100, content);
}

static size_t read_mapped(int file, char content[CONTENT_MOST])
{
    struct stat attributes;
    if (fstat(file, &attributes) < 0)
        broken("fstat: %s", strerror(errno));
    size_t size = (size_t)attributes.st_size;
    void *mapped = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (mapped == MAP_FAILED || size > CONTENT_MOST)
        broken("mmap of %zu bytes: %s", size, strerror(errno));
    memcpy(content, mapped, size);
    munmap(mapped, size);
    return size;
}

static size_t read_sent(int file, char content[CONTENT_MOST])
{
    int memory = memfd_create("sent", MFD_CLOEXEC);
    ssize_t size = memory < 0 ? -1 : sendfile(memory, file, NULL, CONTENT_MOST);
    if (size < 0 || pread(memory, content, CONTENT_MOST, 0) != size)
        broken("sendfile: %s", strerror(errno));
    close(memory);
    return (size_t)size;
}

static long generation_of(const struct aap *aap, const char *id, long newest)
{
    for (long i = newest; i >= 0; i--)
        if (strcmp(aap->ids[i], id) == 0)
            return i;
    return -1;
}

/* What was read must be, byte for byte, what this key's own directory holds. */
static void check_whole(const struct aap *aap, const char *id, const char *content, size_t size)
{
    char path[256], own[CONTENT_MOST];
    snprintf(path, sizeof(path), "keys/%s/client_key.json", id);
    size_t got = load_read(aap->directory, path, own);
    if (got != size || memcmp(own, content, size) != 0)
        broken("torn: %s/%s: %zu bytes instead of %zu", aap->name, path, got, size);
}

static void read_and_check(struct aap *aap, read_whole *how)
{
    char content[CONTENT_MOST], id[ID_SIZE];
    long before = atomic_load(&aap->generation);
    int file = load_open(aap->directory, "client_key.json", 0);
    size_t size = how(file, content);
    close(file);
    load_id_in_json(content, size, id);
    /* an id that is not known yet is newer than every write that has returned */
    long read = generation_of(aap, id, atomic_load(&aap->generation));
    if (read >= 0 && read < before)
        broken("stale: %s: generation %ld by an open that began after %ld was written", aap->name,
               read, before);
    check_whole(aap, id, content, size);
    atomic_fetch_add(&reads, 1);
}

static void *reader(void *user)
{
    read_whole *const *how = user;
    for (unsigned int i = 0; !atomic_load(&finished); i++)
        read_and_check(&aaps[i % AAPS], *how);
    return NULL;
}

static void list_and_check(const struct aap *aap)
{
    const size_t standing_count = sizeof(standing) / sizeof(standing[0]);
    struct stat attributes;
    long found = load_list(aap->directory, ".") - 2; /* "." and ".." */
    if (found != (long)(NAMES + standing_count))
        broken("%s: %ld names in a listing", aap->name, found);
    for (size_t i = 0; i < NAMES + standing_count; i++) {
        const char *name = i < NAMES ? names[i] : standing[i - NAMES];
        if (fstatat(aap->directory, name, &attributes, 0) < 0)
            broken("%s/%s is missing: %s", aap->name, name, strerror(errno));
    }
}

static void *lister(void *user)
{
    for (unsigned int i = 0; !atomic_load(&finished); i++)
        list_and_check(&aaps[i % AAPS]);
    return NULL;
}

static void *looker(void *user)
{
    unsigned int seed = (unsigned int)(uintptr_t)user;
    char name[64];
    struct stat attributes;
    for (unsigned int i = 0; !atomic_load(&finished); i++) {
        snprintf(name, sizeof(name), ".%08x%08x%08x%08x", (unsigned int)rand_r(&seed),
                 (unsigned int)rand_r(&seed), (unsigned int)rand_r(&seed),
                 (unsigned int)rand_r(&seed));
        if (fstatat(aaps[i % AAPS].directory, name, &attributes, 0) == 0 || errno != ENOENT)
            broken("%s: %s", name, strerror(errno));
        atomic_fetch_add(&absent, 1);
    }
    return NULL;
}

static void take_event(const struct inotify_event *event, const int directories[AAPS],
                       int files[AAPS], int watch)
{
    if (event->mask & IN_Q_OVERFLOW)
        broken("inotify: its queue overflowed");
    for (size_t i = 0; i < AAPS; i++) {
        struct aap *aap = &aaps[i];
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/fd/%d/client_key.json", aap->directory);
        if (event->wd == files[i]) {
            aap->file_events++;
            if (event->mask & (IN_ATTRIB | IN_DELETE_SELF | IN_IGNORED))
                files[i] = inotify_add_watch(watch, path, IN_ATTRIB | IN_DELETE_SELF);
        }
        if (event->wd != directories[i] || !(event->mask & IN_MOVED_TO))
            continue;
        for (size_t name = 0; name < NAMES; name++)
            if (strcmp(names[name], event->name) == 0) {
                aap->moved[name]++;
                if (files[i] < 0 && name == 1)
                    files[i] = inotify_add_watch(watch, path, IN_ATTRIB | IN_DELETE_SELF);
            }
    }
}

static bool saw_all(void)
{
    for (size_t i = 0; i < AAPS; i++)
        for (size_t name = 0; name < NAMES; name++)
            if (aaps[i].moved[name] < rotations + 1)
                return false;
    return true;
}

/* Until every name was moved once for each key, the first included. */
static void *watcher(void *user)
{
    _Alignas(struct inotify_event) char events[65536];
    int watch = inotify_init1(IN_CLOEXEC), directories[AAPS], files[AAPS];
    for (size_t i = 0; i < AAPS; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", aaps[i].directory);
        directories[i] = inotify_add_watch(watch, path, IN_MOVED_TO);
        files[i] = -1;
        if (directories[i] < 0)
            broken("inotify: %s", strerror(errno));
    }
    atomic_store((atomic_bool *)user, true);
    while (!saw_all()) {
        ssize_t got = read(watch, events, sizeof(events));
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)(events + at);
            take_event(event, directories, files, watch);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    close(watch);
    return NULL;
}

static void rotate(struct aap *aap, long generation)
{
    char password[64], id[CONTENT_MOST];
    snprintf(password, sizeof(password), "Rotation-%ld-Aa1\n", generation);
    int number = load_write_control(aap->directory, password);
    if (number != 0)
        broken("%s/control: %s", aap->name, strerror(number));
    size_t size = load_read(aap->directory, "client_key_id", id);
    if (size < 2 || size > ID_SIZE)
        broken("%s/client_key_id: %zu bytes", aap->name, size);
    id[size - 1] = '\0';
    if (generation > 0 && strcmp(id, aap->ids[generation - 1]) == 0)
        broken("stale: %s/client_key_id after the write returned", aap->name);
    memcpy(aap->ids[generation], id, size);
    atomic_store(&aap->generation, generation);
}

static void *rotator(void *user)
{
    struct aap *aap = user;
    for (long i = 1; i <= rotations; i++)
        rotate(aap, i);
    return NULL;
}

int main(int count, char **words)
{
    static read_whole *const pieces = read_pieces, *const mapped = read_mapped, *const sent = read_sent;
    pthread_t rotators[AAPS], others[13], watching;
    size_t started = 0;
    atomic_bool watched = false;

    if (count != 3 + AAPS || (rotations = atol(words[2])) < 1 || rotations > ROTATIONS_MOST)
        broken("usage: rotation_load MOUNT ROTATIONS AAP AAP");
    int mount = open(words[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < AAPS; i++) {
        aaps[i] = (struct aap){.name = words[3 + i], .generation = -1};
        aaps[i].directory = openat(mount, words[3 + i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        aaps[i].ids = calloc((size_t)rotations + 1, ID_SIZE);
        if (aaps[i].directory < 0 || !aaps[i].ids)
            broken("%s: %s", words[3 + i], strerror(errno));
    }
    watching = load_start(watcher, &watched);
    while (!atomic_load(&watched))
        sched_yield();
    for (size_t i = 0; i < AAPS; i++)
        rotate(&aaps[i], 0);

    for (size_t i = 0; i < 4; i++)
        others[started++] = load_start(reader, (void *)(uintptr_t)&pieces);
    for (size_t i = 0; i < 2; i++)
        others[started++] = load_start(reader, (void *)(uintptr_t)&mapped);
    others[started++] = load_start(reader, (void *)(uintptr_t)&sent);
    for (size_t i = 0; i < 2; i++)
        others[started++] = load_start(lister, NULL);
    for (uintptr_t i = 0; i < 4; i++)
        others[started++] = load_start(looker, (void *)(i + 1));
    int64_t began = load_now_us();
    for (size_t i = 0; i < AAPS; i++)
        rotators[i] = load_start(rotator, &aaps[i]);
    for (size_t i = 0; i < AAPS; i++)
        pthread_join(rotators[i], NULL);
    int64_t took = load_now_us() - began;
    pthread_join(watching, NULL);
    atomic_store(&finished, true);
    for (size_t i = 0; i < started; i++)
        pthread_join(others[i], NULL);
    printf("{\"Rotations\": %ld, \"Seconds\": %.1f, \"Reads\": %ld, \"Listings\": %ld, "
           "\"AbsentNames\": %ld, \"FileEvents\": %ld}\n",
           rotations * AAPS, (double)took / 1e6, atomic_load(&reads), atomic_load(&load_counts.listings),
           atomic_load(&absent), aaps[0].file_events + aaps[1].file_events);
    return 0;
}
