#include "fs/fleet/intents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/base/nanoseconds.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/fleet/fleet_aap.h"
#include "fs/fleet/fleet_parts.h"
#include "fs/fleet/lock.h"
#include "fs/fleet/notes.h"
#include "fs/fleet/reconcile.h"
#include "kmsapi/cleanup.h"

enum { NUMBER_DIGITS = 16 };

/* -- what there is ------------------------------------------------------------------------- */

struct reading {
    struct operation *operation;
    void (*then)(struct operation *operation, const struct fleet_seen *seen);
    struct fleet_seen seen;
    char current[FLEET_KEY_SIZE];
    bool is_short; /* memory */
};

static void free_reading(void *kept)
{
    struct reading *reading = kept;
    while (reading->seen.intents) {
        struct fleet_intent *intent = reading->seen.intents;
        reading->seen.intents = intent->next;
        record_clear(&intent->record);
        free(intent);
    }
    free(reading);
}

static void end_reading(struct reading *reading, const struct fleet_error *error)
{
    struct operation *operation = reading->operation;
    lock_keep(operation, NULL, NULL);
    if (error->number)
        lock_fail(operation, error);
    else if (reading->is_short)
        operation_refuse(operation, ENOMEM, "Memory", "memory is short; nothing was sent");
    else
        reading->then(operation, &reading->seen);
    free_reading(reading);
}

/* What cannot be read is taken for nothing: what this host has is told to the fleet again. */
static void found_current(void *user, const struct fleet_entry *entry)
{
    struct reading *reading = user;
    struct engine *engine = reading->operation->engine;
    struct note_current note;
    char *text;
    if (fleet_note_open(engine->fleet->key, entry->key, entry->value, entry->size, &text) < 0)
        return;
    if (note_current_take(text, &note) == 0)
        reading->seen.is_behind = reconcile_is_behind(engine, reading->operation->aap, note.client_key_id, note.made_ns);
    OPENSSL_clear_free(text, strlen(text));
}

static void current_is_read(void *user, const struct fleet_error *error, int64_t revision)
{
    end_reading(user, error);
}

/* NUMBER-HOST. */
static bool take_id(const char *id, struct fleet_intent *intent)
{
    char *end;
    if (strspn(id, "0123456789abcdef") != NUMBER_DIGITS || id[NUMBER_DIGITS] != '-')
        return false;
    snprintf(intent->host, sizeof(intent->host), "%s", id + NUMBER_DIGITS + 1);
    return strtoull(id, &end, 16) == intent->record.intent;
}

/* What no host of this fleet and version has put there is nobody's intent. */
static void found_intent(void *user, const struct fleet_entry *entry)
{
    struct reading *reading = user;
    const struct fleet *fleet = reading->operation->engine->fleet;
    struct fleet_name name;
    struct fleet_intent *intent = calloc(1, sizeof(*intent));
    if (!intent || fleet_name_take(fleet->prefix, entry->key, &name) < 0 || name.kind != FLEET_INTENT) {
        reading->is_short = reading->is_short || !intent;
        free(intent);
        return;
    }
    int r = fleet_record_open(fleet->key, &fleet->owner, entry->key, name.aap, "", entry->value, entry->size, &intent->record);
    if (r < 0 || !take_id(name.id, intent)) {
        reading->is_short = reading->is_short || r == -ENOMEM;
        record_clear(&intent->record);
        free(intent);
        return;
    }
    snprintf(intent->name, sizeof(intent->name), "%s", entry->key);
    intent->next = reading->seen.intents;
    reading->seen.intents = intent;
}

static const struct fleet_error no_memory = {.number = ENOMEM, .text = "memory is short"};

/* After them: a key that came meanwhile, by a host that has lost its lock, takes its intent away and moves `current` at once. */
static void intents_are_read(void *user, const struct fleet_error *error, int64_t revision)
{
    struct reading *reading = user;
    const struct fleet_get get = {
        .key = reading->current,
        .timeout_ms = FLEET_TIMEOUT_MS,
        .found = found_current,
        .ended = current_is_read,
        .user = reading,
    };
    if (error->number)
        end_reading(reading, error);
    else if (fleet_get(reading->operation->engine->fleet->store, &get) < 0)
        end_reading(reading, &no_memory);
}

void intents_read(struct operation *operation, void (*then)(struct operation *operation, const struct fleet_seen *seen))
{
    const struct fleet *fleet = operation->engine->fleet;
    struct fleet_name name = {.kind = FLEET_CURRENT};
    char prefix[FLEET_KEY_SIZE];
    struct reading *reading = calloc(1, sizeof(*reading));
    operation_aap_name(operation, name.aap);
    if (!reading || fleet_name_put(fleet->prefix, &name, reading->current) < 0 ||
        fleet_name_all(fleet->prefix, FLEET_INTENT, name.aap, prefix) < 0) {
        free(reading);
        operation_refuse(operation, ENOMEM, "Memory", "memory is short; nothing was sent");
        return;
    }
    reading->operation = operation;
    reading->then = then;
    lock_keep(operation, reading, free_reading);
    const struct fleet_get get = {
        .key = prefix,
        .prefix = true,
        .timeout_ms = FLEET_TIMEOUT_MS,
        .found = found_intent,
        .ended = intents_are_read,
        .user = reading,
    };
    if (fleet_get(fleet->store, &get) < 0)
        end_reading(reading, &no_memory);
}

/* -- the end of one ------------------------------------------------------------------------ */

/* NULL: there is no fleet, or memory is short. */
static struct fleet_aap *notes_of(const struct operation *operation)
{
    struct fleet *fleet = operation->engine->fleet;
    return fleet ? fleet_aap_make(fleet, operation->aap) : NULL;
}

static void removed(void *user, const struct fleet_error *error, bool done, int64_t revision, const struct fleet_entry *found)
{
    lock_release(user);
}

/*
 * It was written once. LOCK, with which it was put, stays until it is gone: nobody else is to find it. Where that fails it
 * stays, and is found to have come to nothing.
 */
static void remove_intent(struct fleet *fleet, struct fleet_lock *lock, const char *name)
{
    const struct fleet_commit commit = {
        .compares = &(struct fleet_compare){.key = name, .what = FLEET_VERSION, .equals = 1},
        .compare_count = 1,
        .changes = &(struct fleet_change){.key = name},
        .change_count = 1,
        .timeout_ms = FLEET_TIMEOUT_MS,
        .ended = removed,
        .user = lock_hold(lock),
    };
    if (fleet_commit(fleet->store, &commit) < 0)
        lock_release(lock);
}

bool intents_is_owed(const struct operation *operation)
{
    const struct fleet_aap *notes = notes_of(operation);
    return notes && notes->intent;
}

char *intents_leave(struct operation *operation)
{
    char **name = lock_intent(operation);
    return name ? steal_pointer(name) : NULL;
}

void intents_keep(struct operation *operation)
{
    struct fleet_aap *notes = notes_of(operation);
    if (!notes)
        return;
    free(notes->intent);
    notes->intent = intents_leave(operation);
}

void intents_drop(struct operation *operation)
{
    char *name = intents_leave(operation);
    if (name)
        remove_intent(operation->engine->fleet, operation->fleet_lock, name);
    free(name);
}

void intents_remove(struct engine *engine, const char *name)
{
    remove_intent(engine->fleet, NULL, name);
}

/* -- the operation's own ------------------------------------------------------------------- */

struct putting {
    struct operation *operation;
    void (*then)(struct operation *operation, const struct fleet_error *error);
    char *name;
};

static void free_putting(void *kept)
{
    struct putting *putting = kept;
    free(putting->name);
    free(putting);
}

static void end_putting(struct putting *putting, const struct fleet_error *error)
{
    struct operation *operation = putting->operation;
    void (*then)(struct operation *, const struct fleet_error *) = putting->then;
    lock_keep(operation, NULL, NULL);
    free_putting(putting);
    then(operation, error);
}

/* The lock is compared first, then the intent: one that is there is this one, sent twice, if the lock is still ours. */
static void put(void *user, const struct fleet_error *error, bool done, int64_t revision, const struct fleet_entry *found)
{
    static const struct fleet_error lost = {.number = EIO, .text = "this host has lost the lock of the AAP"};
    struct putting *putting = user;
    struct fleet_compare lock;
    lock_compare(putting->operation, &lock);
    bool ours = done || (!error->number && found[0].mod_revision == lock.equals && found[1].version != 0);
    if (error->number || !ours) {
        if (error->maybe_done)
            remove_intent(putting->operation->engine->fleet, putting->operation->fleet_lock, putting->name);
        end_putting(putting, error->number ? error : &lost);
        return;
    }
    char **intent = lock_intent(putting->operation);
    free(*intent);
    *intent = steal_pointer(&putting->name);
    end_putting(putting, NULL);
}

/* The name of the operation's intent, and what stands there. */
static int seal(const struct operation *operation, char name[static FLEET_KEY_SIZE], unsigned char **bytes, size_t *size)
{
    const struct fleet *fleet = operation->engine->fleet;
    struct fleet_name parts = {.kind = FLEET_INTENT};
    char empty[] = "";
    uint64_t number = store_intent_number(operation->creation.intent);
    operation_aap_name(operation, parts.aap);
    const struct record record = {
        .aap_name = parts.aap,
        .client_key_id = empty,
        .key_algorithm = empty,
        .not_before = record_borrow(operation->creation.not_before),
        .not_after = record_borrow(operation->creation.not_after),
        .private_key_data = empty,
        .password = empty,
        .made_ns = nanoseconds(operation->creation.made),
        .intent = number,
        .dates_given = operation->command.has_dates,
    };
    int length = snprintf(parts.id, sizeof(parts.id), "%0*llx-%s", NUMBER_DIGITS, (unsigned long long)number, fleet->host);
    if (length >= (int)sizeof(parts.id) || fleet_name_put(fleet->prefix, &parts, name) < 0)
        return -EINVAL;
    return fleet_record_close(fleet->key, &fleet->owner, name, &record, bytes, size);
}

static int commit(struct putting *putting, const unsigned char *bytes, size_t size)
{
    const struct operation *operation = putting->operation;
    struct fleet_compare compares[2] = {{.key = NULL}, {.key = putting->name, .what = FLEET_VERSION, .equals = 0}};
    lock_compare(operation, &compares[0]);
    const struct fleet_commit commit = {
        .compares = compares,
        .compare_count = 2,
        .changes = &(struct fleet_change){.key = putting->name, .value = bytes, .size = size},
        .change_count = 1,
        .timeout_ms = FLEET_TIMEOUT_MS,
        .ended = put,
        .user = putting,
    };
    return fleet_commit(operation->engine->fleet->store, &commit);
}

void intents_put(struct operation *operation, void (*then)(struct operation *operation, const struct fleet_error *error))
{
    char name[FLEET_KEY_SIZE];
    unsigned char *bytes = NULL;
    size_t size = 0;
    if (!operation->engine->fleet) {
        then(operation, NULL);
        return;
    }
    struct putting *putting = calloc(1, sizeof(*putting));
    int r = putting ? seal(operation, name, &bytes, &size) : -ENOMEM;
    if (r == 0)
        *putting = (struct putting){operation, then, strdup(name)};
    if (r == 0)
        r = putting->name ? commit(putting, bytes, size) : -ENOMEM;
    OPENSSL_clear_free(bytes, size);
    if (r == 0) {
        lock_keep(operation, putting, free_putting);
        return;
    }
    if (putting)
        free_putting(putting);
    then(operation, &no_memory);
}
