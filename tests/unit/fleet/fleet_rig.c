#include "tests/unit/fleet/fleet_rig.h"

#include <stdlib.h>

#include <openssl/crypto.h>

#include "fs/base/nanoseconds.h"
#include "fs/engine/engine.h"
#include "fs/fleet/fleet.h"
#include "fs/fleet/fleet_parts.h"
#include "fs/fleet/notes.h"

static const unsigned char fleet_key[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcde";
static const char *this_host;

int fleet_rig_make(void **unused)
{
    memory_clear();
    this_host = FLEET_RIG_HOST;
    return rig_make(unused);
}

int fleet_rig_remove(void **unused)
{
    int r = rig_remove(unused);
    memory_clear();
    return r;
}

void fleet_rig_start(void)
{
    if (!table_find("payments"))
        table_add("payments");
    rig_start();
    table_serve();
    assert_int_equal(fleet_start_with(rig.engine, memory_store(), fleet_key), 0);
    strcpy(rig.engine->fleet->host, this_host);
    engine_wake_all(rig.engine);
    fleet_rig_serve();
}

void fleet_rig_stop(void)
{
    rig_stop(NULL);
}

void fleet_rig_become(const char *host)
{
    static struct kms_table kms;
    int64_t now_ms = rig.now_ms;
    kms = kms_table;
    memory_end_leases(false);
    rig_stop(NULL);
    assert_int_equal(rig_remove(NULL), 0);
    assert_int_equal(rig_make(NULL), 0);
    kms_table = kms;
    rig.now_ms = now_ms;
    memory.holds = false;
    this_host = host;
    fleet_rig_start();
}

void fleet_rig_step(void)
{
    memory.holds = true;
    memory.allowed = 1;
    rig_settle();
    memory.allowed = 0;
}

bool fleet_rig_go_on(void)
{
    memory.holds = true;
    memory.allowed = 1;
    bool asked = memory_is_asked();
    memory.allowed = 0;
    if (asked) {
        fleet_rig_step();
        return true;
    }
    if (!rig_request())
        return false;
    table_answer(FAULT_NONE);
    rig_settle();
    return true;
}

void fleet_rig_settle(void)
{
    do
        rig_settle();
    while (memory_is_asked());
}

void fleet_rig_serve(void)
{
    fleet_rig_settle();
    while (rig_request()) {
        table_answer(FAULT_NONE);
        fleet_rig_settle();
    }
}

void fleet_rig_serve_until(enum rig_operation operation)
{
    fleet_rig_settle();
    while (rig_request() && rig_request()->operation != operation) {
        table_answer(FAULT_NONE);
        fleet_rig_settle();
    }
    assert_non_null(rig_request());
}

void fleet_rig_pass(int64_t ms)
{
    for (int64_t step = ms / 20 + 1; ms > 0; ms -= step) {
        rig_pass(step < ms ? step : ms);
        fleet_rig_settle();
    }
}

uint64_t fleet_rig_write(const char *text)
{
    uint64_t number = rig_write("payments", text);
    fleet_rig_settle();
    return number;
}

void fleet_rig_do(const char *text)
{
    uint64_t number = fleet_rig_write(text);
    fleet_rig_serve();
    assert_int_equal(rig_result(number), 0);
}

/* -- what other hosts put there ------------------------------------------------------------ */

static void name_of(enum fleet_kind kind, const char *id, char key[static FLEET_KEY_SIZE])
{
    struct fleet_name name = {.kind = kind};
    if (kind != FLEET_HOST)
        strcpy(name.aap, "payments");
    snprintf(name.id, sizeof(name.id), "%s", id);
    assert_int_equal(fleet_name_put("aapfs", &name, key), 0);
}

static void put_note(enum fleet_kind kind, const char *id, char *text)
{
    char key[FLEET_KEY_SIZE];
    unsigned char *bytes;
    size_t size;
    assert_non_null(text);
    name_of(kind, id, key);
    assert_int_equal(fleet_note_close(fleet_key, key, text, &bytes, &size), 0);
    memory_put(key, bytes, size);
    OPENSSL_clear_free(bytes, size);
    free(text);
}

void fleet_rig_put_lock(const char *host)
{
    struct note_lock note = {.nonce = "0002", .since = RIG_BEGIN};
    strcpy(note.host, host);
    put_note(FLEET_LOCK, "", note_lock_put(&note));
}

void fleet_rig_put_host(const char *host, bool reported)
{
    struct note_presence note = {.nonce = "0002", .since = RIG_BEGIN, .reported = reported};
    put_note(FLEET_HOST, host, note_presence_put(&note));
}

void fleet_rig_put_served(const char *host, const char *client_key_id, int64_t made_ns, const char *notified)
{
    struct note_served note = {.nonce = "0002", .made_ns = made_ns, .since = RIG_BEGIN};
    strcpy(note.client_key_id, client_key_id);
    strcpy(note.notified, notified);
    put_note(FLEET_SERVED, host, note_served_put(&note));
}

static void put_record(enum fleet_kind kind, const char *id, const struct record *record)
{
    char key[FLEET_KEY_SIZE];
    unsigned char *bytes;
    size_t size;
    name_of(kind, id, key);
    assert_int_equal(fleet_record_close(fleet_key, &rig.engine->fleet->owner, key, record, &bytes, &size), 0);
    memory_put(key, bytes, size);
    OPENSSL_clear_free(bytes, size);
}

void fleet_rig_put_intent(uint64_t number, const char *host, const char *not_before, const char *not_after, int64_t made)
{
    char id[FLEET_ID_SIZE], empty[] = "", name[] = "payments";
    snprintf(id, sizeof(id), "%016llx-%s", (unsigned long long)number, host);
    put_record(FLEET_INTENT, id, &(struct record){
        .aap_name = name, .client_key_id = empty, .key_algorithm = empty, .private_key_data = empty, .password = empty,
        .not_before = record_borrow(not_before), .not_after = record_borrow(not_after), .made_ns = nanoseconds(made),
        .intent = number});
}

void fleet_rig_put_key(const char *client_key_id, int64_t made)
{
    char name[] = "payments", algorithm[] = "RSA_2048", data[] = RIG_KEY, password[] = RIG_PASSWORD, empty[] = "";
    char begins[ISO_TIME_SIZE], ends[ISO_TIME_SIZE];
    struct note_current note = {.made_ns = nanoseconds(made)};
    iso_time_format(made, begins);
    iso_time_format(made + 365 * RIG_DAY, ends);
    put_record(FLEET_CLIENT_KEY, client_key_id, &(struct record){
        .aap_name = name, .client_key_id = record_borrow(client_key_id), .key_algorithm = algorithm, .private_key_data = data,
        .password = password, .request_id = empty, .not_before = begins, .not_after = ends, .made_ns = note.made_ns,
        .asked = made});
    strcpy(note.client_key_id, client_key_id);
    put_note(FLEET_CURRENT, "", note_current_put(&note));
}

/* -- what stands there --------------------------------------------------------------------- */

static char *read_note(enum fleet_kind kind, const char *id)
{
    char key[FLEET_KEY_SIZE], *text;
    name_of(kind, id, key);
    const struct memory_entry *entry = memory_find(key);
    if (!entry)
        return NULL;
    assert_int_equal(fleet_note_open(fleet_key, key, entry->value, entry->entry.size, &text), 0);
    return text;
}

static bool take(char *text, int (*taken)(const char *text, void *note), void *note)
{
    if (!text)
        return false;
    assert_int_equal(taken(text, note), 0);
    OPENSSL_clear_free(text, strlen(text));
    return true;
}

static int take_lock(const char *text, void *note)
{
    return note_lock_take(text, note);
}

static int take_presence(const char *text, void *note)
{
    return note_presence_take(text, note);
}

static int take_served(const char *text, void *note)
{
    return note_served_take(text, note);
}

bool fleet_rig_read_lock(struct note_lock *note)
{
    return take(read_note(FLEET_LOCK, ""), take_lock, note);
}

bool fleet_rig_read_presence(struct note_presence *note)
{
    return take(read_note(FLEET_HOST, FLEET_RIG_HOST), take_presence, note);
}

bool fleet_rig_read_served(struct note_served *note)
{
    return take(read_note(FLEET_SERVED, FLEET_RIG_HOST), take_served, note);
}
