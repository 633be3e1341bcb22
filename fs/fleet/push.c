#include "fs/fleet/push.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/fleet/fleet_aap.h"
#include "fs/fleet/notes.h"
#include "fs/fleet/outage.h"
#include "fs/model/order.h"
#include "fs/model/schedule.h"
#include "kmsapi/cleanup.h"

enum { LOCAL_RETRY_MS = 10 * 1000, TOMBSTONES_MOST = 16 };

/* One commit, from when it is put together. */
struct push {
    struct fleet *fleet;
    struct fleet_aap *aap;
    char aap_name[AAP_NAME_SIZE], id[CLIENT_KEY_ID_SIZE];
    bool record, current, tombstone; /* what it tells of the key */
    int64_t made_ns;                 /* for CURRENT */
    char *intent;                    /* that goes with it */
    char keys[FLEET_PARTS_MOST][FLEET_KEY_SIZE]; /* each of its changes' */
    struct fleet_compare compares[FLEET_PARTS_MOST];
    struct fleet_change changes[FLEET_PARTS_MOST];
    size_t compare_count, change_count;
};

static void free_push(void *request)
{
    struct push *push = request;
    for (size_t i = 0; i < push->change_count; i++)
        OPENSSL_clear_free((void *)(uintptr_t)push->changes[i].value, push->changes[i].size);
    free(push->intent);
    free(push);
}

/* -- what is to be told -------------------------------------------------------------------- */

/* A Scheduled one is shared when it begins, one that is not on the disk later; one that nobody can use any more never. */
static bool is_shared(const struct registry_aap *here, const struct registry_key *key, int64_t now)
{
    bool is_of_use = !key->gone && (key == here->current || key->not_after_time > now);
    return is_of_use && !key->deleted && !schedule_waits(key, now) && !schedule_is_void(key) &&
           !registry_has_id(here->unsaved, key->client_key_id);
}

/*
 * A `current` that names a key without a record, which nobody else can get, counts for nothing. One whose record is of no use
 * here counts: whoever has that key would put it back, again and again.
 */
static bool is_greater(const struct fleet_aap *aap, const struct registry_aap *here, const struct registry_key *key)
{
    const struct fleet_key *named = fleet_aap_find_key(aap, aap->current_id);
    bool can_be_had = registry_find_key(here, aap->current_id) || (named && named->record && !named->tombstone);
    return !aap->current_id[0] || !can_be_had ||
           order_is_greater(order_made_ns(key), key->client_key_id, aap->current_made_ns, aap->current_id);
}

/* Whether KEY, or that it is the current one, is to be told: noted in PUSH. */
static bool look_at(const struct fleet_aap *aap, const struct registry_aap *here, const struct registry_key *key, int64_t now,
                    struct push *push)
{
    const struct fleet_key *known = fleet_aap_find_key(aap, key->client_key_id);
    if (!is_shared(here, key, now) || (known && (known->tombstone || known->to_delete)))
        return false;
    push->record = !known || !known->record;
    push->current = key == here->current && is_greater(aap, here, key);
    push->made_ns = order_made_ns(key);
    memcpy(push->id, key->client_key_id, sizeof(push->id));
    return push->record || push->current;
}

/* The current key before the others, and those before a deletion. */
static bool find_what(struct push *push)
{
    struct engine *engine = push->fleet->engine;
    struct fleet_aap *aap = push->aap;
    int64_t now = engine_now(engine);
    registry_lock(engine->parts.registry);
    const struct registry_aap *here = registry_aap(engine->parts.registry, aap->due.number);
    bool is_any = here->current && look_at(aap, here, here->current, now, push);
    for (const struct registry_key *key = here->keys; key && !is_any; key = key->next)
        is_any = look_at(aap, here, key, now, push);
    memcpy(push->aap_name, here->name, sizeof(push->aap_name));
    registry_unlock(engine->parts.registry);
    for (const struct fleet_key *key = aap->keys; key && !is_any; key = key->next) {
        if (!key->to_delete || !key->record)
            continue;
        is_any = push->tombstone = true;
        push->record = push->current = false;
        memcpy(push->id, key->id, sizeof(push->id));
    }
    return is_any;
}

/* -- its commit ---------------------------------------------------------------------------- */

/* The key of KIND is to change from what it is known to be at REVISION; its name. NULL: it has none. */
static const char *change(struct push *push, enum fleet_kind kind, const char *id, int64_t revision)
{
    struct fleet_name name = {.kind = kind};
    char *key = push->keys[push->compare_count];
    memcpy(name.aap, push->aap_name, sizeof(name.aap));
    snprintf(name.id, sizeof(name.id), "%s", id);
    if (fleet_name_put(push->fleet->prefix, &name, key) < 0)
        return NULL;
    push->compares[push->compare_count++] =
        (struct fleet_compare){.key = key, .what = revision ? FLEET_MOD_REVISION : FLEET_VERSION, .equals = revision};
    return key;
}

/* To VALUE, which is taken over; NULL: it goes. */
static void put(struct push *push, const char *key, unsigned char *value, size_t size)
{
    push->changes[push->change_count++] = (struct fleet_change){.key = key, .value = value, .size = size};
}

/* TEXT is taken over. */
static int put_note(struct push *push, const char *key, char *text)
{
    unsigned char *bytes;
    size_t size;
    int r = !text ? -ENOMEM : !key ? -EINVAL : fleet_note_close(push->fleet->key, key, text, &bytes, &size);
    free(text);
    if (r == 0)
        put(push, key, bytes, size);
    return r;
}

/* INTENT, the name of one (.../NUMBER-HOST) or NULL, is that of NUMBER. */
static bool is_intent_of(const char *intent, uint64_t number)
{
    const char *last = intent ? strrchr(intent, '/') : NULL;
    return last && strtoull(last + 1, NULL, 16) == number;
}

static int add_record(struct push *push)
{
    struct fleet *fleet = push->fleet;
    struct record record;
    unsigned char *bytes;
    size_t size;
    const char *key = change(push, FLEET_CLIENT_KEY, push->id, 0);
    int r = key ? store_read(fleet->engine->store, push->aap_name, push->id, &record) : -EINVAL;
    if (r < 0)
        return r;
    r = fleet_record_close(fleet->key, &fleet->owner, key, &record, &bytes, &size);
    if (is_intent_of(push->aap->intent, record.intent))
        push->intent = strdup(push->aap->intent);
    record_clear(&record);
    if (r == 0)
        put(push, key, bytes, size);
    return r == 0 && !change(push, FLEET_DELETED, push->id, 0) ? -EINVAL : r; /* compared alone: there is no tombstone */
}

static int add_current(struct push *push)
{
    struct note_current note = {.made_ns = push->made_ns};
    memcpy(note.client_key_id, push->id, sizeof(note.client_key_id));
    return put_note(push, change(push, FLEET_CURRENT, "", push->aap->current_revision), note_current_put(&note));
}

/* Where there are many the oldest goes: hosts that were away for that long ask KMS. */
static int remove_oldest_tombstone(struct push *push)
{
    const struct fleet_key *oldest = NULL;
    unsigned int count = 0;
    for (const struct fleet_key *key = push->aap->keys; key; key = key->next) {
        count += key->tombstone != 0;
        if (key->tombstone && (!oldest || key->tombstone < oldest->tombstone))
            oldest = key;
    }
    if (count < TOMBSTONES_MOST)
        return 0;
    const char *key = change(push, FLEET_DELETED, oldest->id, oldest->tombstone);
    if (key)
        put(push, key, NULL, 0);
    return key ? 0 : -EINVAL;
}

static int add_tombstone(struct push *push)
{
    const char *record = change(push, FLEET_CLIENT_KEY, push->id, fleet_aap_find_key(push->aap, push->id)->record);
    if (!record)
        return -EINVAL;
    put(push, record, NULL, 0);
    int r = put_note(push, change(push, FLEET_DELETED, push->id, 0),
                     note_deleted_put(&(struct note_deleted){engine_now(push->fleet->engine)}));
    return r < 0 ? r : remove_oldest_tombstone(push);
}

static void note_done(struct push *push, int64_t revision)
{
    struct fleet_aap *aap = push->aap;
    struct fleet_key *key = fleet_aap_make_key(aap, push->id);
    if (push->current) {
        aap->current_revision = revision;
        aap->current_known = true;
        memcpy(aap->current_id, push->id, sizeof(aap->current_id));
        aap->current_made_ns = push->made_ns;
    }
    if (key && push->record)
        key->record = revision;
    if (key && push->tombstone) {
        key->record = 0;
        key->tombstone = revision;
    }
    if (push->intent && aap->intent && strcmp(push->intent, aap->intent) == 0) {
        free(aap->intent);
        aap->intent = NULL;
    }
}

static void ended(void *user, const struct fleet_error *error, bool done, int64_t revision, const struct fleet_entry *found)
{
    struct push *push = user;
    struct fleet *fleet = push->fleet;
    struct fleet_aap *aap = push->aap;
    fleet->under_way--;
    aap->under_way = NULL;
    if (error->number) {
        outage_begin(fleet, error);
    } else {
        outage_end(fleet);
        if (done)
            note_done(push, revision);
        for (size_t i = 0; found && i < push->compare_count; i++) {
            struct fleet_name name;
            struct fleet_entry entry = found[i];
            entry.key = push->compares[i].key;
            if (entry.version == 0)
                entry.mod_revision = revision; /* there is none by now */
            fleet_aap_note(fleet, &entry, &name);
        }
    }
    fleet_aap_due(fleet, aap, clock_monotonic_ms());
    free_push(push);
}

static int put_together(struct push *push)
{
    int r = push->record ? add_record(push) : 0;
    if (r == 0 && push->current)
        r = add_current(push);
    if (r == 0 && push->tombstone)
        r = add_tombstone(push);
    if (r == 0 && push->intent)
        put(push, push->intent, NULL, 0);
    return r;
}

bool push_begin(struct fleet *fleet, struct fleet_aap *aap)
{
    struct push *push = fleet->engine->store && !fleet->engine->foreign_state ? calloc(1, sizeof(*push)) : NULL;
    if (!push)
        return false;
    push->fleet = fleet;
    push->aap = aap;
    if (!find_what(push)) {
        free_push(push);
        return false;
    }
    int r = put_together(push);
    const struct fleet_commit commit = {
        .compares = push->compares,
        .compare_count = push->compare_count,
        .changes = push->changes,
        .change_count = push->change_count,
        .timeout_ms = FLEET_TIMEOUT_MS,
        .ended = ended,
        .user = push,
    };
    if (r == 0)
        r = fleet_commit(fleet->store, &commit);
    if (r == 0) {
        fleet->under_way++;
        aap->under_way = push;
        aap->free_under_way = free_push;
        return true;
    }
    log_warning("%s: the fleet cannot be told of %s: %s; that is tried again", push->aap_name, push->id, strerror(-r));
    free_push(push);
    aap->again_ms = clock_monotonic_ms() + LOCAL_RETRY_MS;
    fleet_aap_due(fleet, aap, aap->again_ms);
    return false;
}

/* -- who waits for it ---------------------------------------------------------------------- */

void push_await(struct operation *operation, void (*then)(struct operation *operation, bool told))
{
    struct fleet *fleet = operation->engine->fleet;
    struct fleet_aap *aap = fleet ? fleet_aap_make(fleet, operation->aap) : NULL;
    bool answers = fleet && fleet->stage == FLEET_IS_LISTED && !fleet->in_outage;
    if (!aap || !answers || aap->awaiting) {
        then(operation, !fleet);
        return;
    }
    aap->awaiting = operation;
    aap->told_then = then;
    fleet_aap_due(fleet, aap, clock_monotonic_ms());
}

void push_told(struct fleet_aap *aap, bool told)
{
    struct operation *operation = steal_pointer(&aap->awaiting);
    if (operation)
        aap->told_then(operation, told);
}

void push_give_up(struct fleet *fleet)
{
    for (uint32_t number = 1; number < fleet->engine->aap_room; number++) {
        struct fleet_aap *aap = fleet_aap_find(fleet, number);
        if (aap)
            push_told(aap, false);
    }
}

void push_deletion(struct engine *engine, uint32_t number, const char *client_key_id)
{
    struct fleet_aap *aap = engine->fleet ? fleet_aap_make(engine->fleet, number) : NULL;
    struct fleet_key *key = aap ? fleet_aap_make_key(aap, client_key_id) : NULL;
    if (!key)
        return;
    key->to_delete = true;
    fleet_aap_due(engine->fleet, aap, clock_monotonic_ms());
}
