/*
 * Power loss at every moment: the store's system calls are recorded, and after each of them every state that a
 * disk may be left in is built and opened. What was not synced is there, half there, or not there; each name that
 * was not synced independently of the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/keys/store.h"

enum { INODES = 64, OPERATIONS = 256, DESCRIPTORS = 1024, TOP = 0, NAME_SIZE = 128, KEYS = 8 };

/* -- a model of the disk --------------------------------------------------------------------- */

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
static bool recording;
static int calls_left = -1; /* then the process is dead: no call of it does anything; -1: it lives */
static int fsyncs, ignored_fsync; /* its number; -1: none is left out */

/* What must be true in every state: set by the scenario. */
static const char *kept[KEYS], *maybe;
static bool intended; /* a request may have been sent: its intent and its room must be there */
static long states;

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

static void explore(void);

static bool is_dead(void)
{
    if (calls_left > 0)
        calls_left--;
    else if (calls_left == 0)
        errno = EIO;
    return calls_left == 0;
}

/* -- the recorder (linked with --wrap) --------------------------------------------------------- */

#define DECLARE(type, name, ...)                                                                   \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

DECLARE(int, openat64, int directory, const char *path, int flags, ...);
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
    if (recording && is_dead())
        return -1;
    int opened = __real_openat64(directory, path, flags, 0600);
    if (!recording || opened < 0 || strcmp(path, ".") == 0)
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
    explore();
    return opened;
}

int __wrap_fsync(int file)
{
    if (recording && is_dead())
        return -1;
    if (!recording)
        return __real_fsync(file);
    int number = inode_of_descriptor[file];
    struct inode *inode = &inodes[number];
    if (fsyncs++ == ignored_fsync)
        return 0;
    if (inode->is_directory)
        for (int i = 0; i < change_count; i++)
            changes[i].is_synced |= changes[i].directory == number;
    if (!inode->is_directory) {
        memcpy(inode->synced, inode->now, sizeof(*inode->now));
        inode->is_dirty = false;
    }
    explore();
    return 0;
}

int __wrap_mkdirat(int directory, const char *path, mode_t mode)
{
    if (recording && is_dead())
        return -1;
    int r = __real_mkdirat(directory, path, mode);
    if (recording && r == 0) {
        change_name(directory, path, new_inode(true));
        explore();
    }
    return r;
}

int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    char name[NAME_SIZE];
    if (recording && is_dead())
        return -1;
    int r = __real_renameat(from_directory, from, to_directory, to);
    if (recording && r == 0) {
        int where = locate(inode_of_descriptor[from_directory], from, name);
        change_name(to_directory, to, find(where, name, UINT64_MAX));
        change_name(from_directory, from, -1);
        explore();
    }
    return r;
}

int __wrap_unlinkat(int directory, const char *path, int flags)
{
    if (recording && is_dead())
        return -1;
    int r = __real_unlinkat(directory, path, flags);
    if (recording && r == 0) {
        change_name(directory, path, -1);
        explore();
    }
    return r;
}

ssize_t __wrap_pwrite64(int file, const void *data, size_t size, off_t offset)
{
    if (recording && is_dead())
        return -1;
    ssize_t r = __real_pwrite64(file, data, size, offset);
    if (recording && r > 0) {
        struct inode *inode = &inodes[inode_of_descriptor[file]];
        assert_true((size_t)offset + (size_t)r <= RECORD_SIZE_MOST);
        memcpy(inode->now->bytes + offset, data, (size_t)r);
        if (inode->now->size < (size_t)(offset + r))
            inode->now->size = (size_t)(offset + r);
        inode->is_dirty = true;
        explore();
    }
    return r;
}

int __wrap_ftruncate64(int file, off_t size)
{
    if (recording && is_dead())
        return -1;
    int r = __real_ftruncate64(file, size);
    if (recording && r == 0) {
        struct inode *inode = &inodes[inode_of_descriptor[file]];
        inode->now->size = (size_t)size;
        inode->is_dirty = true;
        explore();
    }
    return r;
}

int __wrap_posix_fallocate64(int file, off_t offset, off_t size)
{
    if (recording && is_dead())
        return EIO;
    int r = __real_posix_fallocate64(file, offset, size);
    if (recording && r == 0) {
        struct inode *inode = &inodes[inode_of_descriptor[file]];
        inode->now->size = (size_t)(offset + size);
        inode->is_dirty = true;
        explore();
    }
    return r;
}

/* -- every state after a call ------------------------------------------------------------------ */

static const unsigned char key[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcde";
static const struct record_owner owner = {"1192853035110000", "cn-hangzhou"};
static char place[64], crash_path[80];
static bool broken; /* a state that should not be: for the tests that leave out a sync */
static char broken_why[256];

static int remove_one(const char *name, const struct stat *attributes, int type, struct FTW *where)
{
    return remove(name);
}

static void put_file(const char *path, const struct inode *inode, unsigned int variant)
{
    const struct content *content = inode->is_dirty && variant == 0 ? inode->synced : inode->now;
    size_t size = inode->is_dirty && variant == 1 ? content->size / 2 : content->size;
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(file >= 0 && write(file, content->bytes, size) == (ssize_t)size);
    close(file);
}

/* VARIANT: what every unsynced file holds: 0 what was synced, 1 half, 2 all of it. */
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

struct seen {
    int damaged, intents;
    char ids[2 * KEYS][32];
    int count;
};

static void note(void *user, const struct record *record, const char *path, int error)
{
    struct seen *seen = user;
    if (!record)
        seen->damaged++;
    else if (!record->client_key_id[0])
        seen->intents++;
    else if (seen->count < 2 * KEYS)
        snprintf(seen->ids[seen->count++], sizeof(seen->ids[0]), "%s", record->client_key_id);
}

static bool saw(const struct seen *seen, const char *id)
{
    for (int i = 0; i < seen->count; i++)
        if (strcmp(seen->ids[i], id) == 0)
            return true;
    return false;
}

/* Whether the state has a room of the whole size. */
static int count_room(const char *name, const struct stat *attributes, int type, struct FTW *where)
{
    return strncmp(name + where->base, ".room-", 6) == 0 && attributes->st_size == RECORD_SIZE_MOST;
}

static bool has_room(void)
{
    return nftw(crash_path, count_room, 8, FTW_PHYS) == 1;
}

/* They are a cache: absent, or these. */
static bool forms_are_good(struct store *store, const char *id)
{
    struct forms forms;
    if (store_read_forms(store, "payments", id, &forms) < 0)
        return true;
    bool good = strcmp((char *)forms.private_key_pem.data, id) == 0;
    forms_clear(&forms);
    return good;
}

static void judge(uint64_t mask, unsigned int variant)
{
    char reason[256] = "";
    struct store *store = NULL;
    struct seen seen = {0};
    bool room = has_room();
    const struct store_place crashed = {open(crash_path, O_RDONLY | O_DIRECTORY), "state", crash_path};
    assert_true(crashed.above >= 0);
    int r = store_open(&crashed, &owner, key, &store, reason, sizeof(reason));
    if (r == 0)
        r = store_load(store, note, &seen);
    int expected = 0;
    bool good = r == 0 && seen.damaged == 0;
    for (int i = 0; i < KEYS && kept[i]; i++, expected++)
        good = good && saw(&seen, kept[i]) && forms_are_good(store, kept[i]);
    good = good && seen.count <= expected + (maybe != NULL) &&
           (seen.count == expected || saw(&seen, maybe));
    good = good && (!intended || (room && seen.intents >= 1));
    store_close(store);
    close(crashed.above);
    states++;
    if (!good && !broken) {
        broken = true;
        snprintf(broken_why, sizeof(broken_why),
                 "mask %llx, variant %u: %d %.100s; %d damaged, %d keys, %d expected",
                 (unsigned long long)mask, variant, r, reason, seen.damaged, seen.count, expected);
    }
}

static void explore(void)
{
    unsigned int pending = 0, dirty = 0;
    recording = false;
    for (int i = 0; i < change_count; i++)
        pending += !changes[i].is_synced;
    for (int i = 0; i < inode_count; i++)
        dirty += inodes[i].is_dirty;
    assert_true(pending < 12 || broken);
    for (uint64_t mask = 0; !broken && mask < UINT64_C(1) << pending; mask++)
        for (unsigned int variant = 0; variant < (dirty ? 3 : 1); variant++) {
            build(TOP, crash_path, mask, variant);
            judge(mask, variant);
            assert_int_equal(nftw(crash_path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        }
    recording = true;
}

/* -- the scenario ------------------------------------------------------------------------------ */

static struct record sample(const char *id, const char *aap)
{
    static char algorithm[] = "RSA_2048", before[] = "b", after[] = "a", data[] = "MII", password[] = "Abcdefg1~";
    return (struct record){.aap_name = (char *)(uintptr_t)aap, .client_key_id = (char *)(uintptr_t)id,
                           .key_algorithm = algorithm, .not_before = before, .not_after = after,
                           .private_key_data = data, .password = password};
}

/* A request may be sent: what tells of it must be there. */
static struct store_intent *reserve(struct store *store, const char *aap)
{
    const struct store_wish wish = {aap, "b", "a", false, 1};
    struct store_intent *intent;
    assert_int_equal(store_reserve(store, &wish, &intent), 0);
    intended = true;
    explore();
    intended = false;
    return intent;
}

/* Acknowledged: from here on every state has it. */
static void keep(const char *id)
{
    int i = 0;
    while (kept[i])
        i++;
    kept[i] = id;
    explore();
    maybe = NULL;
}

static void save(struct store *store, const char *id, const char *aap)
{
    const struct record record = sample(id, aap);
    maybe = id;
    struct store_intent *intent = reserve(store, aap);
    assert_int_equal(store_save(store, intent, &record), 0);
    keep(id);
}

static void write_forms(struct store *store, const char *id)
{
    const struct forms forms = {{(unsigned char *)(uintptr_t)id, strlen(id)}, {0}};
    assert_int_equal(store_write_forms(store, "payments", id, &forms), 0);
}

static struct store_place where;

static struct store *open_store(void)
{
    char reason[256];
    struct store *store = NULL;
    assert_int_equal(store_open(&where, &owner, key, &store, reason, sizeof(reason)), 0);
    return store;
}

static void begin_scenario(void)
{
    inode_count = change_count = 0;
    memset(inode_of_descriptor, 0, sizeof(inode_of_descriptor)); /* what is not known is the top */
    memset(kept, 0, sizeof(kept));
    maybe = NULL;
    broken = false;
    states = 0;
    fsyncs = 0;
    intended = false;
    assert_int_equal(new_inode(true), TOP);
    where = (struct store_place){open(place, O_RDONLY | O_DIRECTORY), "state", place};
    assert_true(where.above >= 0);
    recording = true;
}

static void end_scenario(void)
{
    recording = false;
    close(where.above);
    for (int i = 0; i < inode_count; i++) {
        free(inodes[i].now);
        free(inodes[i].synced);
    }
}

static void run_scenario(void)
{
    begin_scenario();
    struct store *store = open_store();
    save(store, "KAAP.1", "payments");
    save(store, "KAAP.2", "payments");
    assert_int_equal(store_drop(store, reserve(store, "orders")), 0);
    save(store, "KAAP.3", "orders");
    write_forms(store, "KAAP.1");
    /* removing: from the call on, its key may be there or not */
    kept[0] = "KAAP.2";
    kept[1] = "KAAP.3";
    kept[2] = NULL;
    maybe = "KAAP.1";
    assert_int_equal(store_remove(store, "payments", "KAAP.1"), 0);
    maybe = NULL;
    explore();
    recording = false;
    store_close(store);
    end_scenario();
}

/* What a start finds of a creation in whose midst the worker was killed. */
struct left {
    bool key;
    uint64_t intent;
};

static void note_left(void *user, const struct record *record, const char *path, int error)
{
    struct left *left = user;
    assert_non_null(record);
    if (!record->client_key_id[0])
        left->intent = record->intent;
    else if (strcmp(record->client_key_id, "KAAP.2") == 0)
        left->key = true;
}

/*
 * The worker is killed CALLS calls into saving; its successor finishes what is there and may acknowledge it. Only then
 * the power fails. False: it was saved before that many calls.
 */
static bool run_killed(int calls, int ignored)
{
    const struct record record = sample("KAAP.2", "payments");
    struct left left = {0};
    begin_scenario();
    struct store *store = open_store();
    save(store, "KAAP.1", "payments");
    struct store_intent *intent = reserve(store, "payments");
    maybe = "KAAP.2";
    calls_left = calls;
    int r = store_save(store, intent, &record);
    bool was_killed = calls_left == 0;
    if (r < 0)
        store_leave(store, intent); /* dead: frees, and does nothing on the disk */
    calls_left = -1;
    recording = false;
    store_close(store);
    recording = true;

    store = open_store();
    fsyncs = 0; /* those that are counted are the recovery's */
    ignored_fsync = ignored;
    assert_int_equal(store_load(store, note_left, &left), 0);
    assert_true(left.intent != 0 || !was_killed || r == 0);
    if (left.key && left.intent)
        assert_int_equal(store_finish(store, "payments", left.intent), 0);
    if (left.key)
        keep("KAAP.2");
    recording = false;
    store_close(store);
    end_scenario();
    return was_killed;
}

static int make_place(void **state)
{
    /* memory is as good a disk here, and quicker: what is synced is the model's business */
    snprintf(place, sizeof(place), "%s/aapfs-crash-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(place));
    snprintf(crash_path, sizeof(crash_path), "%s/crash", place);
    ignored_fsync = -1;
    return 0;
}

static int remove_place(void **state)
{
    recording = false;
    return nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void every_state_opens_with_what_was_acknowledged(void **state)
{
    run_scenario();
    if (broken)
        fail_msg("%s", broken_why);
    print_message("%ld states\n", states);
    assert_true(states > 200);
}

/* Kills at every moment, with the recovery's sync of this number left out (-1: none); whether a state was broken. */
static bool kill_everywhere(void **state, int ignored, int *most_syncs)
{
    for (int calls = 0;; calls++) {
        remove_place(state);
        make_place(state);
        bool was_killed = run_killed(calls, ignored);
        *most_syncs = fsyncs > *most_syncs ? fsyncs : *most_syncs;
        if (broken || !was_killed)
            return broken;
    }
}

static void a_killed_worker_loses_nothing_that_its_successor_acknowledges(void **state)
{
    int syncs = 0;
    if (kill_everywhere(state, -1, &syncs))
        fail_msg("%s", broken_why);
    print_message("%d syncs of the recovery\n", syncs);
    assert_true(syncs > 1);
    for (int number = 0; number < syncs; number++)
        if (!kill_everywhere(state, number, &(int){0}))
            fail_msg("sync %d of %d can be left out", number, syncs);
}

/* Each sync that the store makes is needed: without any one of them some state is broken. */
static void without_any_single_sync_a_state_is_broken(void **state)
{
    int all = INT_MAX;
    for (int number = 0; number < all; number++) {
        remove_place(state);
        make_place(state);
        ignored_fsync = number;
        run_scenario();
        if (all == INT_MAX)
            all = fsyncs;
        if (!broken)
            fail_msg("sync %d of %d can be left out", number, all);
    }
    print_message("%d syncs\n", all);
    assert_true(all > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_state_opens_with_what_was_acknowledged, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_killed_worker_loses_nothing_that_its_successor_acknowledges, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(without_any_single_sync_a_state_is_broken, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
