#include "fs/fleet/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/fleet/fleet_aap.h"
#include "fs/fleet/notes.h"
#include "fs/fleet/outage.h"

enum { DISK_RETRY_MS = 10 * 1000, BUSY_RETRY_MS = 1000 };

/* A request for one key of the store's, or (prefix) for all of an AAP's. */
struct fetch {
    struct fleet *fleet;
    struct fleet_aap *aap;
    struct fleet_name name;
    char key[FLEET_KEY_SIZE];
    bool found;
};

static void later(struct fleet *fleet, struct fleet_aap *aap, int64_t ms)
{
    aap->again_ms = clock_monotonic_ms() + ms;
    fleet_aap_due(fleet, aap, aap->again_ms);
}

bool fetch_is_wanted(const struct registry_aap *here, const struct fleet_key *key)
{
    return key->record && key->refused != key->record && !key->tombstone && !key->to_delete && !registry_has_private(here, key->id);
}

/* It has a tombstone, and is here as a superseded key, or as one that KMS has told of. */
static bool is_to_go(const struct registry_aap *here, const struct fleet_key *key)
{
    const struct registry_key *known = registry_find_key(here, key->id);
    if (!key->tombstone || key->refused == key->tombstone || key->to_delete)
        return false;
    return known ? known != here->current && !known->deleted
                 : registry_find_foreign(here, key->id) && key->listed != key->tombstone;
}

/* One command of an AAP at a time; the end of one has it reconciled again. */
static bool may_take(const struct engine *engine, uint32_t number)
{
    const struct engine_aap *notes = engine_noted(engine, number);
    return engine->store && !engine->foreign_state && !engine->draining && !notes->running &&
           engine_is_caught_up(engine, number) && engine_has_aap(engine, number);
}

/* -- what it says -------------------------------------------------------------------------- */

static void refuse(struct fleet_key *key, int64_t revision, const struct fleet_name *name, const char *why)
{
    log_warning("%s: the fleet's %s of %s is of no use here: %s; it stays where it is", name->aap,
                name->kind == FLEET_DELETED ? "note of the deletion" : "record", name->id, why);
    key->refused = revision;
}

static const char damaged[] = "it is damaged, or somebody without the fleet key has put it there";

static void take_record(struct fleet *fleet, struct fleet_aap *aap, const struct fleet_name *name, const struct fleet_entry *entry,
                        struct fleet_key *key)
{
    struct record record;
    int r = fleet_record_open(fleet->key, &fleet->owner, entry->key, name->aap, name->id, entry->value, entry->size, &record);
    if (r == -EBADMSG || r == -EINVAL) {
        refuse(key, entry->mod_revision, name, damaged);
        return;
    }
    if (r == 0) {
        r = fleet->engine->fleet_key_came(fleet->engine, aap->due.number, &record);
        record_clear(&record);
    }
    if (r == -EKEYREJECTED || r == -EEXIST || r == -EMSGSIZE || r == -EINVAL) {
        refuse(key, entry->mod_revision, name, r == -EEXIST ? "there is a file of that name" : "it is not a usable key");
    } else if (r == -EBUSY) {
        later(fleet, aap, BUSY_RETRY_MS);
    } else if (r < 0) {
        log_warning("%s: %s of the fleet cannot be kept here: %s; that is tried again", name->aap, name->id, strerror(-r));
        later(fleet, aap, DISK_RETRY_MS);
    }
}

static bool has_private(const struct engine *engine, uint32_t number, const char *client_key_id)
{
    registry_lock(engine->parts.registry);
    bool has = registry_find_key(registry_aap(engine->parts.registry, number), client_key_id);
    registry_unlock(engine->parts.registry);
    return has;
}

/* A key whose private half is here goes; of any other one KMS is asked. */
static void take_tombstone(struct fleet *fleet, struct fleet_aap *aap, const struct fleet_name *name,
                           const struct fleet_entry *entry, struct fleet_key *key)
{
    struct note_deleted note;
    char *text = NULL;
    int r = fleet_note_open(fleet->key, entry->key, entry->value, entry->size, &text);
    if (r == 0)
        r = note_deleted_take(text, &note);
    if (text)
        OPENSSL_clear_free(text, strlen(text));
    if (r == -EBADMSG || r == -EINVAL) {
        refuse(key, entry->mod_revision, name, damaged);
    } else if (r == 0 && !has_private(fleet->engine, aap->due.number, name->id)) {
        key->listed = entry->mod_revision;
        engine_want_listing(fleet->engine, aap->due.number, clock_monotonic_ms());
    } else if (r < 0 || fleet->engine->fleet_key_gone(fleet->engine, aap->due.number, name->id) < 0) {
        later(fleet, aap, BUSY_RETRY_MS);
    }
}

void fetch_take(struct fleet *fleet, struct fleet_aap *aap, const struct fleet_name *name, const struct fleet_entry *entry)
{
    struct engine *engine = fleet->engine;
    struct fleet_key *key = name->id[0] ? fleet_aap_find_key(aap, name->id) : NULL;
    if (!key || !entry->value || !may_take(engine, aap->due.number))
        return;
    registry_lock(engine->parts.registry);
    const struct registry_aap *here = registry_aap(engine->parts.registry, aap->due.number);
    bool comes = name->kind == FLEET_CLIENT_KEY && fetch_is_wanted(here, key);
    bool goes = name->kind == FLEET_DELETED && is_to_go(here, key);
    registry_unlock(engine->parts.registry);
    if (comes)
        take_record(fleet, aap, name, entry, key);
    else if (goes)
        take_tombstone(fleet, aap, name, entry, key);
}

/* -- asking -------------------------------------------------------------------------------- */

static void found(void *user, const struct fleet_entry *entry)
{
    struct fetch *fetch = user;
    struct fleet_name name;
    fetch->found = true;
    struct fleet_aap *aap = fleet_aap_note(fetch->fleet, entry, &name);
    if (aap == fetch->aap)
        fetch_take(fetch->fleet, aap, &name, entry);
}

static void ended(void *user, const struct fleet_error *error, int64_t revision)
{
    struct fetch *fetch = user;
    struct fleet *fleet = fetch->fleet;
    struct fleet_aap *aap = fetch->aap;
    bool lists = !fetch->name.aap[0];
    fleet->under_way--;
    aap->under_way = NULL;
    if (error->number) {
        outage_begin(fleet, error);
    } else {
        outage_end(fleet);
        if (!lists && !fetch->found)
            fleet_aap_note(fleet, &(struct fleet_entry){.key = fetch->key, .mod_revision = revision}, &fetch->name);
    }
    if (aap->listing && lists) {
        aap->listed = !error->number && !aap->changed;
        aap->listing = aap->changed = false;
    }
    fleet_aap_due(fleet, aap, clock_monotonic_ms());
    free(fetch);
}

static bool ask(struct fleet *fleet, struct fleet_aap *aap, struct fetch *fetch)
{
    const struct fleet_get get = {
        .key = fetch->key,
        .prefix = !fetch->name.aap[0],
        .keys_only = !fetch->name.aap[0],
        .timeout_ms = FLEET_TIMEOUT_MS,
        .found = found,
        .ended = ended,
        .user = fetch,
    };
    if (fleet_get(fleet->store, &get) < 0) {
        free(fetch);
        later(fleet, aap, BUSY_RETRY_MS);
        return false;
    }
    fleet->under_way++;
    aap->under_way = fetch;
    aap->free_under_way = free;
    return true;
}

static bool ask_for(struct fleet *fleet, struct fleet_aap *aap, enum fleet_kind kind, const char *client_key_id)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    struct registry *registry = fleet->engine->parts.registry;
    if (!fetch)
        return false;
    *fetch = (struct fetch){.fleet = fleet, .aap = aap, .name.kind = kind};
    registry_lock(registry);
    memcpy(fetch->name.aap, numbers_aap(registry_numbers(registry), aap->due.number)->name, sizeof(fetch->name.aap));
    registry_unlock(registry);
    strcpy(fetch->name.id, client_key_id);
    if (fleet_name_put(fleet->prefix, &fetch->name, fetch->key) < 0) {
        free(fetch);
        return false;
    }
    return ask(fleet, aap, fetch);
}

bool fetch_current(struct fleet *fleet, struct fleet_aap *aap)
{
    return ask_for(fleet, aap, FLEET_CURRENT, "");
}

bool fetch_list(struct fleet *fleet, struct fleet_aap *aap)
{
    struct registry *registry = fleet->engine->parts.registry;
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch)
        return false;
    *fetch = (struct fetch){.fleet = fleet, .aap = aap};
    registry_lock(registry);
    int r = fleet_name_aap(fleet->prefix, numbers_aap(registry_numbers(registry), aap->due.number)->name, fetch->key);
    registry_unlock(registry);
    if (r < 0 || !ask(fleet, aap, fetch)) {
        if (r < 0)
            free(fetch);
        return false;
    }
    fleet_aap_forget(aap);
    aap->listing = true;
    aap->changed = false;
    return true;
}

bool fetch_begin(struct fleet *fleet, struct fleet_aap *aap)
{
    struct engine *engine = fleet->engine;
    const struct fleet_key *wanted = NULL;
    if (!may_take(engine, aap->due.number))
        return false;
    registry_lock(engine->parts.registry);
    const struct registry_aap *here = registry_aap(engine->parts.registry, aap->due.number);
    for (const struct fleet_key *key = aap->keys; key; key = key->next) {
        bool is_current = strcmp(key->id, aap->current_id) == 0;
        if ((fetch_is_wanted(here, key) || is_to_go(here, key)) && (!wanted || is_current))
            wanted = key;
    }
    registry_unlock(engine->parts.registry);
    return wanted && ask_for(fleet, aap, wanted->tombstone ? FLEET_DELETED : FLEET_CLIENT_KEY, wanted->id);
}
