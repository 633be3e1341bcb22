/*
 * Power loss at every moment: after each of the store's system calls every state that the disk may be left in
 * (recorded_disk.h) is built and opened.
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

#include "fs/store/store_intent.h"
#include "fs/store/store_load.h"
#include "tests/unit/store/recorded_disk.h"

enum { KEYS = 8 };

/* What must be true in every state: set by the scenario. */
static const char *kept[KEYS], *maybe;
static bool intended; /* a request may have been sent: its intent and its room must be there */
static long states;

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
    unsigned int pending = recorded_disk_pending();
    bool dirty = recorded_disk_is_dirty();
    recorded_disk.recording = false;
    assert_true(pending < 12 || broken);
    for (uint64_t mask = 0; !broken && mask < UINT64_C(1) << pending; mask++)
        for (unsigned int variant = 0; variant < (dirty ? 3 : 1); variant++) {
            recorded_disk_build(crash_path, mask, variant);
            judge(mask, variant);
            assert_int_equal(nftw(crash_path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        }
    recorded_disk.recording = true;
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
    memset(kept, 0, sizeof(kept));
    maybe = NULL;
    broken = false;
    states = 0;
    intended = false;
    where = (struct store_place){open(place, O_RDONLY | O_DIRECTORY), "state", place};
    assert_true(where.above >= 0);
    recorded_disk_begin(explore);
}

static void end_scenario(void)
{
    recorded_disk_end();
    close(where.above);
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
    recorded_disk.recording = false;
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
    recorded_disk.calls_left = calls;
    int r = store_save(store, intent, &record);
    bool was_killed = recorded_disk.calls_left == 0;
    if (r < 0)
        store_leave(store, intent); /* dead: frees, and does nothing on the disk */
    recorded_disk.calls_left = -1;
    recorded_disk.recording = false;
    store_close(store);
    recorded_disk.recording = true;

    store = open_store();
    recorded_disk.fsyncs = 0; /* those that are counted are the recovery's */
    recorded_disk.ignored_fsync = ignored;
    assert_int_equal(store_load(store, note_left, &left), 0);
    assert_true(left.intent != 0 || !was_killed || r == 0);
    if (left.key && left.intent)
        assert_int_equal(store_finish(store, "payments", left.intent), 0);
    if (left.key)
        keep("KAAP.2");
    recorded_disk.recording = false;
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
    recorded_disk.ignored_fsync = -1;
    return 0;
}

static int remove_place(void **state)
{
    recorded_disk.recording = false;
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
        *most_syncs = recorded_disk.fsyncs > *most_syncs ? recorded_disk.fsyncs : *most_syncs;
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
        recorded_disk.ignored_fsync = number;
        run_scenario();
        if (all == INT_MAX)
            all = recorded_disk.fsyncs;
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
