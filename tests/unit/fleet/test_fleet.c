/*
 * Hosts of a fleet, one at a time on one store and one KMS, each with a disk of its own: whatever order things come in, each of
 * them ends with the same current key, none goes back, and nothing is lost.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include <openssl/crypto.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/fleet/fleet.h"
#include "fs/fleet/notes.h"
#include "fs/fleet/push.h"
#include "fs/fleet/reconcile.h"
#include "fs/fleet/records.h"
#include "tests/unit/engine_rig.h"
#include "tests/unit/fleet/memory_store.h"

enum { HOSTS = 3 };

static const unsigned char key[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcde";
static const struct record_owner owner = {RIG_ACCOUNT, RIG_REGION, NULL};

static struct host {
    struct state state;
    struct numbers *numbers;
    bool first;
} hosts[HOSTS];
static unsigned int here;

/* -- hosts --------------------------------------------------------------------------------- */

static void make_host(struct host *host, unsigned int number)
{
    struct state_places places = {.may_make_key = true};
    char reason[512];
    snprintf(places.directory, sizeof(places.directory), "%s/host%u", rig_place(), number);
    snprintf(places.key, sizeof(places.key), "%s/key%u", rig_place(), number);
    assert_int_equal(state_open(&places, &host->state, reason, sizeof(reason)), 0);
    assert_int_equal(state_make_key(&places, reason, sizeof(reason)), 0);
    assert_int_equal(state_open_key(&places, &host->state, reason, sizeof(reason)), 0);
    void *pages = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(pages != MAP_FAILED);
    host->numbers = numbers_open(pages);
    host->first = true;
}

static int make(void **unused)
{
    int r = rig_make(unused);
    memory_clear();
    here = 0;
    hosts[0] = (struct host){rig.state, rig.numbers, true};
    for (unsigned int i = 1; i < HOSTS; i++)
        make_host(&hosts[i], i);
    table_add("payments");
    kms_table.quota = TABLE_KEYS;
    rig.config.defaults.max_keys = TABLE_KEYS;
    rig.config.creation_guard_ms = 0; /* a deletion may have failed just now */
    return r;
}

static int remove_all(void **unused)
{
    rig.disk_error = 0;
    rig_stop(NULL);
    for (unsigned int i = 1; i < HOSTS; i++) {
        state_close(&hosts[i].state);
        munmap(hosts[i].numbers, numbers_size());
    }
    rig.state = hosts[0].state;
    rig.numbers = hosts[0].numbers;
    int r = rig_remove(unused);
    memory_clear();
    return r;
}

/* KMS and the store answer until nothing is asked. */
static void settle(void)
{
    do {
        rig_settle();
        table_serve();
    } while (memory_is_asked() || rig_request());
}

/* The engine of another host, or of the same one anew, takes the place of this one: without a fleet; with its KEY. */
static void start(unsigned int number)
{
    rig_stop(NULL);
    hosts[here].first = rig.first;
    here = number;
    rig.state = hosts[here].state;
    rig.numbers = hosts[here].numbers;
    rig.first = hosts[here].first;
    rig_start();
    table_serve();
}

static void join(const unsigned char *with)
{
    assert_int_equal(fleet_start_with(rig.engine, memory_store(), with), 0);
    engine_wake_all(rig.engine);
    settle();
}

static void become(unsigned int number)
{
    start(number);
    join(key);
}

/* Who of a fleet may make a key is test_lock.c's: here one is made as it was before the host knew of one. */
static void create(void)
{
    struct fleet *fleet = rig.engine->fleet;
    rig.engine->fleet = NULL;
    rig_do("payments", RIG_PASSWORD);
    rig.engine->fleet = fleet;
    engine_wake_all(rig.engine);
    settle();
}

/* Time in which whatever failed is tried again. */
static void pass(void)
{
    for (unsigned int i = 0; i < 20; i++) {
        rig_pass(1000);
        settle();
    }
}

/* -- what is in the store ------------------------------------------------------------------ */

static const char *name_of(enum fleet_kind kind, const char *id)
{
    static char text[FLEET_KEY_SIZE];
    struct fleet_name name = {.kind = kind, .aap = "payments"};
    snprintf(name.id, sizeof(name.id), "%s", id);
    assert_int_equal(fleet_name_put("aapfs", &name, text), 0);
    return text;
}

static bool has(enum fleet_kind kind, const char *id)
{
    return memory_find(name_of(kind, id));
}

/* Which key the fleet's `current` names. */
static const char *current(void)
{
    static struct note_current note;
    const struct memory_entry *entry = memory_find(name_of(FLEET_CURRENT, ""));
    char *text;
    if (!entry)
        return "";
    assert_int_equal(fleet_note_open(key, entry->key, entry->value, entry->entry.size, &text), 0);
    assert_int_equal(note_current_take(text, &note), 0);
    OPENSSL_free(text);
    return note.client_key_id;
}

static void put_current(const char *id, int64_t made_ns)
{
    struct note_current note = {.made_ns = made_ns};
    unsigned char *bytes;
    size_t size;
    snprintf(note.client_key_id, sizeof(note.client_key_id), "%s", id);
    char *text = note_current_put(&note);
    assert_int_equal(fleet_note_close(key, name_of(FLEET_CURRENT, ""), text, &bytes, &size), 0);
    memory_put(name_of(FLEET_CURRENT, ""), bytes, size);
    OPENSSL_free(bytes);
    free(text);
}

/* Another host tells a key that it has made then; KMS has it, too. Its id. */
static const char *put_key_of(int64_t made_ns, const char *private_key_data)
{
    const struct table_key *made = table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2033-11-01T00:00:00Z");
    const struct record record = {
        .aap_name = record_borrow("payments"), .client_key_id = record_borrow(made->name),
        .key_algorithm = record_borrow("RSA_2048"), .not_before = record_borrow(made->not_before),
        .not_after = record_borrow(made->not_after), .private_key_data = record_borrow(private_key_data),
        .password = record_borrow("Theirs1~"), .request_id = record_borrow("r"), .intent = 7,
        .made_ns = made_ns, .asked = made_ns / 1000000000,
    };
    unsigned char *bytes;
    size_t size;
    assert_int_equal(fleet_record_close(key, &owner, name_of(FLEET_CLIENT_KEY, made->name), &record, &bytes, &size), 0);
    memory_put(name_of(FLEET_CLIENT_KEY, made->name), bytes, size);
    OPENSSL_free(bytes);
    return made->name;
}

/* That many seconds after the test began. */
static int64_t after(int64_t seconds)
{
    return (RIG_BEGIN + seconds) * 1000000000;
}

static const char *put_key(int64_t seconds, const char *private_key_data)
{
    return put_key_of(after(seconds), private_key_data);
}

static void put_bytes(enum fleet_kind kind, const char *id, const char *bytes)
{
    memory_put(name_of(kind, id), bytes, strlen(bytes));
}

static bool has_key(const char *id)
{
    return registry_find_key(rig_aap("payments"), id);
}

/* ------------------------------------------------------------------------------------------ */

static void what_one_makes_all_have(void **state)
{
    become(0);
    create();
    assert_string_equal(current(), "KAAP.1");
    assert_true(has(FLEET_CLIENT_KEY, "KAAP.1"));
    int64_t made_ns = rig_aap("payments")->current->made_ns;
    become(1);
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_true(rig_aap("payments")->current->made_ns == made_ns);
    assert_true(rig_has_logged("payments: created KAAP.1, valid until"));
    create();
    become(0);
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_true(has_key("KAAP.1"));
    start(1); /* what came is on the disk */
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_int_equal(table_find("payments")->creations, 2);
}

static void what_comes_is_shown_at_once(void **state)
{
    become(0);
    create();
    unsigned int gets = memory.gets, commits = memory.commits;
    const char *id = put_key(10, RIG_KEY);
    put_current(id, after(10));
    settle();
    assert_true(rig_shows("payments", id));
    /* the watch has told all of it */
    assert_int_equal(memory.gets, gets);
    assert_int_equal(memory.commits, commits + 1); /* which tells that this host serves it */
    /* an older one is kept as a superseded one */
    const char *older = put_key(5, RIG_KEY);
    settle();
    assert_true(rig_shows("payments", id));
    assert_true(has_key(older));
    assert_string_equal(current(), id);
}

static void hosts_with_keys_of_their_own_join(void **state)
{
    start(0);
    create(); /* KAAP.1 */
    rig_jump(5000);
    start(1);
    create(); /* KAAP.2 */
    rig_jump(5000);
    become(0);
    assert_string_equal(current(), "KAAP.1");
    become(1);
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_true(has_key("KAAP.1"));
    assert_string_equal(current(), "KAAP.2");
    become(0);
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_true(has_key("KAAP.1"));
    assert_int_equal(table_count(table_find("payments")), 2);
}

static void of_the_same_time_the_greater_id_wins(void **state)
{
    start(0);
    create();
    become(0);
    const char *id = put_key_of(rig_aap("payments")->current->made_ns, RIG_KEY);
    settle();
    assert_string_equal(id, "KAAP.2");
    assert_true(rig_shows("payments", "KAAP.2"));
    start(0); /* and after a start */
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void nobody_goes_back(void **state)
{
    become(0);
    create();
    rig_jump(5000);
    create();
    put_current("KAAP.1", after(0));
    settle();
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_string_equal(current(), "KAAP.2");
    /* nor by what names a key that nobody has, or cannot be read */
    put_current("KAAP.99", after(1000000));
    settle();
    assert_string_equal(current(), "KAAP.2");
    put_bytes(FLEET_CURRENT, "", "nonsense");
    settle();
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_string_equal(current(), "KAAP.2");
}

static void a_wiped_store_removes_nothing(void **state)
{
    become(0);
    create();
    rig_jump(5000);
    create();
    memory_remove(name_of(FLEET_CURRENT, ""));
    memory_remove(name_of(FLEET_CLIENT_KEY, "KAAP.1"));
    memory_remove(name_of(FLEET_CLIENT_KEY, "KAAP.2"));
    settle();
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_true(has_key("KAAP.1"));
    assert_string_equal(current(), "KAAP.2");
    assert_true(has(FLEET_CLIENT_KEY, "KAAP.1") && has(FLEET_CLIENT_KEY, "KAAP.2"));
    /* nor one that was emptied while nobody looked */
    while (memory.entries)
        memory_remove(memory.entries->key);
    memory_lose_watches();
    settle();
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_string_equal(current(), "KAAP.2");
    assert_true(has(FLEET_CLIENT_KEY, "KAAP.1") && memory_find("aapfs/check"));
}

static void a_damaged_record_harms_nothing(void **state)
{
    become(0);
    create();
    rig_forget_log();
    put_bytes(FLEET_CLIENT_KEY, "KAAP.77", "nonsense");
    put_current("KAAP.77", after(1));
    put_bytes(FLEET_DELETED, "KAAP.1", "nonsense");
    settle();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_true(rig_has_logged("payments: the fleet's record of KAAP.77 is of no use here"));
    assert_false(reconcile_is_behind(rig.engine, rig_aap("payments")->number, "KAAP.77", after(1)));
    /* it is told once, also when all is listed again */
    rig_forget_log();
    unsigned int gets = memory.gets;
    memory_lose_watches();
    settle();
    pass();
    assert_int_equal(rig_warnings(), 0);
    assert_int_equal(memory.gets, gets + 3); /* the check, the listing, `current` */
    /* a key that does not open here is as good as none */
    const char *id = put_key(100, RIG_NO_KEY);
    settle();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_false(has_key(id));
    assert_int_equal(rig_count_files(".intent"), 0);
    /* what is mended is taken */
    const char *good = put_key(200, RIG_KEY);
    settle();
    assert_true(rig_shows("payments", good));
    assert_string_equal(current(), good);
}

/* Whoever made it would put it back: the two would never come to an end. */
static void a_current_key_that_opens_elsewhere_alone_stays_named(void **state)
{
    become(0);
    create();
    const char *id = put_key(100, RIG_NO_KEY);
    put_current(id, after(100));
    settle();
    pass();
    assert_string_equal(current(), id);
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_false(reconcile_is_behind(rig.engine, rig_aap("payments")->number, id, after(100)));
}

static void another_fleet_key_is_refused(void **state)
{
    static const unsigned char other[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcdf";
    become(0);
    create();
    start(1);
    int64_t revision = memory.revision;
    rig_forget_log();
    join(other);
    pass();
    create();
    pass();
    assert_true(rig_has_logged("[fleet]: fleet_key is another one than that of the hosts"));
    assert_int_equal(rig_warnings(), 1);
    assert_true(memory.revision == revision);
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void another_account_is_refused(void **state)
{
    struct note_check note = {"1192853035110001", RIG_REGION};
    char *text = note_check_put(&note);
    unsigned char *bytes;
    size_t size;
    assert_int_equal(fleet_note_close(key, "aapfs/check", text, &bytes, &size), 0);
    memory_put("aapfs/check", bytes, size);
    OPENSSL_free(bytes);
    free(text);
    int64_t revision = memory.revision;
    become(0);
    create();
    pass();
    assert_true(rig_has_logged("for the account 1192853035110001"));
    assert_true(memory.revision == revision);
    /* somebody mends it */
    memory_remove("aapfs/check");
    for (unsigned int i = 0; i < 4; i++)
        pass();
    assert_string_equal(current(), "KAAP.1");
}

static void a_store_that_fails_holds_nobody_up(void **state)
{
    become(0);
    create();
    rig_forget_log();
    memory.error = ECONNREFUSED;
    rig_jump(5000);
    create();
    assert_true(rig_shows("payments", "KAAP.2"));
    pass();
    assert_int_equal(rig_warnings(), 1);
    assert_string_equal(current(), "KAAP.1");
    memory.error = 0;
    pass();
    assert_string_equal(current(), "KAAP.2");
    assert_true(rig_has_logged("the fleet's etcd answers again"));
    /* nor from the start */
    memory.error = ECONNREFUSED;
    become(0);
    assert_true(rig_shows("payments", "KAAP.2"));
    rig_jump(5000);
    create();
    pass();
    memory.error = 0;
    pass();
    assert_string_equal(current(), "KAAP.3");
}

static void a_lost_answer_is_found_out(void **state)
{
    become(0);
    memory.loses = true;
    create();
    pass();
    assert_string_equal(current(), "KAAP.1");
    assert_true(memory_find(name_of(FLEET_CLIENT_KEY, "KAAP.1"))->entry.version == 1);
}

static void what_is_deleted_goes_everywhere(void **state)
{
    become(0);
    create();
    rig_jump(5000);
    create();
    become(1);
    become(2);
    assert_true(has_key("KAAP.1"));
    rig_do("payments", "delete KAAP.1");
    settle();
    assert_false(has(FLEET_CLIENT_KEY, "KAAP.1"));
    assert_true(has(FLEET_DELETED, "KAAP.1"));
    become(0);
    assert_false(has_key("KAAP.1"));
    assert_true(rig_has_logged("payments: deleted KAAP.1, by another host of the fleet"));
    assert_int_equal(rig_count_files("payments/KAAP.1"), 0);
    assert_true(rig_shows("payments", "KAAP.2"));
    become(1);
    assert_false(has_key("KAAP.1"));
    assert_false(has(FLEET_CLIENT_KEY, "KAAP.1"));
}

/* Another host has deleted it. */
static void put_tombstone(const char *id)
{
    char *text = note_deleted_put(&(struct note_deleted){RIG_BEGIN});
    unsigned char *bytes;
    size_t size;
    assert_int_equal(fleet_note_close(key, name_of(FLEET_DELETED, id), text, &bytes, &size), 0);
    if (has(FLEET_CLIENT_KEY, id))
        memory_remove(name_of(FLEET_CLIENT_KEY, id));
    memory_put(name_of(FLEET_DELETED, id), bytes, size);
    OPENSSL_free(bytes);
    free(text);
}

static void a_deletion_elsewhere_is_seen_at_once(void **state)
{
    become(0);
    for (unsigned int i = 0; i < 3; i++) {
        rig_jump(5000);
        create();
    }
    put_tombstone("KAAP.1");
    put_tombstone("KAAP.2");
    settle();
    assert_false(has_key("KAAP.1"));
    assert_false(has_key("KAAP.2"));
    assert_true(rig_shows("payments", "KAAP.3"));
    assert_false(has(FLEET_CLIENT_KEY, "KAAP.1"));
}

static void of_a_deleted_key_that_kms_has_told_of_kms_is_asked(void **state)
{
    become(0);
    create();
    struct table_aap *aap = table_find("payments");
    struct table_key *made = table_make(aap, "2023-11-01T00:00:00Z", "2033-11-01T00:00:00Z");
    char id[32];
    snprintf(id, sizeof(id), "%s", made->name);
    put_tombstone(id); /* first of all */
    settle();
    rig_jump(5000);
    rig_do("payments", RIG_PASSWORD);
    engine_want_listing(rig.engine, rig_aap("payments")->number, 0);
    rig_settle();
    rig_expect(RIG_LIST_KEYS, "payments");
    table_answer(FAULT_NONE);
    made->id = 0;
    settle();
    assert_null(registry_find_foreign(rig_aap("payments"), id));
    assert_true(rig_published(PUBLISH_REMOVE_KEY) > 0); /* it was there */
}

static void a_deletion_is_told_later(void **state)
{
    become(0);
    create();
    rig_jump(5000);
    create();
    uint64_t number = rig_write("payments", "delete KAAP.1");
    while (memory_is_asked())
        rig_settle();
    rig_expect(RIG_DELETE, "KAAP.1");
    memory.error = ECONNREFUSED;
    settle();
    assert_int_equal(rig_result(number), 0);
    pass();
    assert_false(has_key("KAAP.1"));
    memory.error = 0;
    pass();
    assert_false(has_key("KAAP.1"));
    assert_true(has(FLEET_DELETED, "KAAP.1") && !has(FLEET_CLIENT_KEY, "KAAP.1"));
}

static void the_current_key_stays_whatever_is_deleted(void **state)
{
    become(0);
    create();
    put_tombstone("KAAP.1");
    settle();
    assert_true(rig_shows("payments", "KAAP.1"));
    rig_jump(5000);
    create(); /* when it is that no more, it goes */
    assert_false(has_key("KAAP.1"));
}

static void tombstones_do_not_heap_up(void **state)
{
    char id[32];
    become(0);
    create();
    for (unsigned int i = 1; i < 30; i++) {
        snprintf(id, sizeof(id), "delete KAAP.%u", i);
        rig_jump(5000);
        create();
        rig_do("payments", id);
        settle();
    }
    assert_int_equal(memory_count("aapfs/aaps/payments/deleted/"), 16);
    assert_true(has(FLEET_DELETED, "KAAP.29") && !has(FLEET_DELETED, "KAAP.13"));
    assert_int_equal(memory_count("aapfs/aaps/payments/keys/"), 1);
}

static void a_command_under_way_goes_first(void **state)
{
    become(0);
    create();
    rig_jump(5000);
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    table_serve_until(RIG_CREATE);
    const char *id = put_key(1, RIG_KEY);
    rig_settle();
    assert_false(has_key(id));
    settle();
    assert_int_equal(rig_result(number), 0);
    assert_true(has_key(id));
    assert_true(rig_shows("payments", "KAAP.3"));
    assert_string_equal(current(), "KAAP.3");
}

static void an_aap_that_comes_later_has_its_keys(void **state)
{
    become(0);
    create();
    kms_table.aaps[0].gone = true;
    become(1);
    assert_null(registry_find_aap(rig.registry, "payments"));
    kms_table.aaps[0].gone = false;
    rig_write(NULL, "sync");
    settle();
    assert_true(rig_shows("payments", "KAAP.1"));
}

static void a_full_disk_is_no_end(void **state)
{
    become(0);
    create();
    become(1);
    rig_forget_log();
    rig.disk_error = ENOSPC;
    const char *id = put_key(10, RIG_KEY);
    settle();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_true(rig_has_logged("cannot be kept here"));
    rig.disk_error = 0;
    pass();
    assert_true(rig_shows("payments", id));
}

static unsigned int told, not_told;

static void note_told(struct operation *operation, bool is_told)
{
    told += is_told;
    not_told += !is_told;
    operation_end(operation, 0);
}

static void await(void)
{
    push_await(operation_new_automatic(rig.engine, rig_aap("payments")->number, CONTROL_SHARED_KEY), note_told);
    settle();
}

static void who_waits_until_it_is_told_goes_on(void **state)
{
    told = not_told = 0;
    start(0);
    await(); /* without a fleet */
    assert_int_equal(told, 1);
    join(key);
    await(); /* there is nothing to tell */
    assert_int_equal(told, 2);
    memory.holds = true;
    create();
    await();
    assert_int_equal(told, 2);
    memory.holds = false;
    settle();
    assert_int_equal(told, 3);
    assert_string_equal(current(), "KAAP.1");
    /* it fails meanwhile; it has failed before */
    memory.holds = true;
    create();
    await();
    assert_int_equal(not_told, 0);
    memory.error = ECONNREFUSED;
    memory.holds = false;
    settle();
    assert_int_equal(not_told, 1);
    await();
    assert_int_equal(not_told, 2);
    assert_int_equal(told, 3);
}

static void what_nobody_can_use_is_not_told(void **state)
{
    start(0);
    create();
    rig_jump(5000);
    create();
    table_find("payments")->keys[0].id = 0; /* somebody has deleted it in KMS */
    rig_write(NULL, "sync");
    settle();
    join(key);
    assert_string_equal(current(), "KAAP.2");
    assert_false(has(FLEET_CLIENT_KEY, "KAAP.1"));
    /* a Scheduled one is shared when it begins */
    rig_jump(5000);
    rig_do("payments", "{\"Password\": \"" RIG_PASSWORD "\", \"NotBefore\": \"2023-11-20T00:00:00Z\", \"NotAfter\": \"2024-11-20T00:00:00Z\"}");
    settle();
    assert_true(has_key("KAAP.3"));
    assert_false(has(FLEET_CLIENT_KEY, "KAAP.3"));
    become(1);
    assert_false(has_key("KAAP.3"));
    become(0);
    rig_jump(7 * RIG_DAY * 1000);
    settle();
    assert_true(rig_shows("payments", "KAAP.3"));
    assert_string_equal(current(), "KAAP.3");
    become(1);
    assert_true(rig_shows("payments", "KAAP.3"));
}

/* -- any order ----------------------------------------------------------------------------- */

static unsigned int any(unsigned int count)
{
    return (unsigned int)rand() % count;
}

/* What its AAP shows never gets older on any host. */
static int64_t seen_ns[HOSTS];

static void assert_goes_forward(void)
{
    const struct registry_key *shown = rig_aap("payments")->current;
    assert_true(!shown || shown->made_ns >= seen_ns[here]);
    seen_ns[here] = shown ? shown->made_ns : seen_ns[here];
}

static void disturb(void)
{
    static char id[16 + CLIENT_KEY_ID_SIZE];
    const struct registry_key *oldest;
    switch (any(9)) {
    case 0:
    case 1:
        become(any(HOSTS));
        break;
    case 2:
    case 3:
        rig_jump(1000 * (1 + any(10)));
        if (table_count(table_find("payments")) < TABLE_KEYS - 1)
            create();
        break;
    case 4:
        memory.error = memory.error ? 0 : ETIMEDOUT;
        break;
    case 5:
        memory_lose_watches();
        break;
    case 6:
        memory.loses = true;
        break;
    case 7: /* somebody removes something */
        if (memory.entries)
            memory_remove(memory.entries->key);
        break;
    case 8:
        oldest = rig_aap("payments")->keys;
        while (oldest && oldest->next)
            oldest = oldest->next;
        if (!oldest || oldest == rig_aap("payments")->current)
            break;
        snprintf(id, sizeof(id), "delete %s", oldest->client_key_id);
        rig_write("payments", id);
        break;
    }
    settle();
    assert_goes_forward();
}

static void whatever_happens_they_end_with_one_key(void **state)
{
    int64_t newest_ns = 0;
    char id[CLIENT_KEY_ID_SIZE] = "";
    memset(seen_ns, 0, sizeof(seen_ns));
    become(0);
    create();
    for (unsigned int i = 0; i < 60; i++)
        disturb();
    memory.error = 0;
    memory.loses = false;
    for (unsigned int i = 0; i < 2 * HOSTS; i++) {
        become(i % HOSTS);
        pass();
        assert_goes_forward();
        const struct registry_key *shown = rig_aap("payments")->current;
        newest_ns = shown && shown->made_ns > newest_ns ? shown->made_ns : newest_ns;
        if (i < HOSTS)
            continue;
        if (!id[0])
            strcpy(id, rig_current("payments"));
        assert_true(rig_shows("payments", id));
        assert_true(rig_aap("payments")->current->made_ns == newest_ns);
        assert_string_equal(current(), id);
    }
}

static void whatever_happens(void **state)
{
    for (unsigned int seed = 1; seed <= 8; seed++) {
        print_message("seed %u\n", seed);
        srand(seed);
        whatever_happens_they_end_with_one_key(state);
        if (seed < 8) {
            assert_int_equal(remove_all(NULL), 0);
            assert_int_equal(make(NULL), 0);
        }
    }
}

#define fleet_test(test) cmocka_unit_test_setup_teardown(test, make, remove_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fleet_test(what_one_makes_all_have),
        fleet_test(what_comes_is_shown_at_once),
        fleet_test(hosts_with_keys_of_their_own_join),
        fleet_test(of_the_same_time_the_greater_id_wins),
        fleet_test(nobody_goes_back),
        fleet_test(a_wiped_store_removes_nothing),
        fleet_test(a_damaged_record_harms_nothing),
        fleet_test(a_current_key_that_opens_elsewhere_alone_stays_named),
        fleet_test(another_fleet_key_is_refused),
        fleet_test(another_account_is_refused),
        fleet_test(a_store_that_fails_holds_nobody_up),
        fleet_test(a_lost_answer_is_found_out),
        fleet_test(what_is_deleted_goes_everywhere),
        fleet_test(a_deletion_elsewhere_is_seen_at_once),
        fleet_test(of_a_deleted_key_that_kms_has_told_of_kms_is_asked),
        fleet_test(a_deletion_is_told_later),
        fleet_test(the_current_key_stays_whatever_is_deleted),
        fleet_test(tombstones_do_not_heap_up),
        fleet_test(a_command_under_way_goes_first),
        fleet_test(an_aap_that_comes_later_has_its_keys),
        fleet_test(a_full_disk_is_no_end),
        fleet_test(who_waits_until_it_is_told_goes_on),
        fleet_test(what_nobody_can_use_is_not_told),
        fleet_test(whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
