#include "fs/fleet/connection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/engine/engine.h"
#include "fs/fleet/fetch.h"
#include "fs/fleet/fleet_aap.h"
#include "fs/fleet/fleet_key.h"
#include "fs/fleet/notes.h"
#include "fs/fleet/outage.h"
#include "kmsapi/cleanup.h"

static void check(struct fleet *fleet);
static void list(struct fleet *fleet);

static void fail(struct fleet *fleet, const struct fleet_error *error)
{
    fleet->stage = FLEET_WAITS;
    outage_begin(fleet, error);
}

static void fail_here(struct fleet *fleet)
{
    fail(fleet, &(struct fleet_error){.number = ENOMEM, .text = "memory is short"});
}

/* -- the fleet key ------------------------------------------------------------------------- */

static void checked(void *user, const struct fleet_entry *entry)
{
    struct fleet *fleet = user;
    struct note_check note = {0};
    char *text = NULL, why[256] = "";
    int r = fleet_note_open(fleet->key, entry->key, entry->value, entry->size, &text);
    if (r == 0)
        r = note_check_take(text, &note);
    if (text)
        OPENSSL_clear_free(text, strlen(text));
    fleet->check_is_there = true;
    if (r == -ENOMEM)
        fleet->check_is_there = false;
    else if (r < 0)
        snprintf(why, sizeof(why), "fleet_key is another one than that of the hosts that share keys under this prefix; right is the "
                 "same file on every host, or another prefix");
    else if (strcmp(note.account, fleet->account) != 0 || strcmp(note.region, fleet->owner.region) != 0)
        snprintf(why, sizeof(why), "the hosts that share keys under this prefix do so for the account %s in %s, and this one is of %s "
                 "in %s; right is another prefix", note.account, note.region, fleet->account, fleet->owner.region);
    if (why[0])
        outage_refuse(fleet, why);
}

static void check_was_put(void *user, const struct fleet_error *error, bool done, int64_t revision, const struct fleet_entry *found)
{
    struct fleet *fleet = user;
    if (error->number)
        fail(fleet, error);
    else
        check(fleet); /* whoever was first */
}

/* The first host of all. */
static void put_check(struct fleet *fleet, const char *key)
{
    struct note_check note = {0};
    unsigned char *bytes = NULL;
    size_t size = 0;
    snprintf(note.account, sizeof(note.account), "%s", fleet->account);
    snprintf(note.region, sizeof(note.region), "%s", fleet->owner.region);
    _cleanup_(free) char *text = note_check_put(&note);
    int r = text ? fleet_note_close(fleet->key, key, text, &bytes, &size) : -ENOMEM;
    const struct fleet_compare compare = {.key = key, .what = FLEET_VERSION};
    const struct fleet_change change = {.key = key, .value = bytes, .size = size};
    const struct fleet_commit commit = {
        .compares = &compare,
        .compare_count = 1,
        .changes = &change,
        .change_count = 1,
        .timeout_ms = FLEET_TIMEOUT_MS,
        .ended = check_was_put,
        .user = fleet,
    };
    if (r < 0 || fleet_commit(fleet->store, &commit) < 0)
        fail_here(fleet);
    OPENSSL_free(bytes);
}

static void check_ended(void *user, const struct fleet_error *error, int64_t revision)
{
    struct fleet *fleet = user;
    char key[FLEET_KEY_SIZE];
    if (fleet->stage == FLEET_REFUSED)
        return;
    if (error->number)
        fail(fleet, error);
    else if (fleet->check_is_there)
        list(fleet);
    else if (fleet_name_put(fleet->prefix, &(struct fleet_name){.kind = FLEET_CHECK}, key) == 0)
        put_check(fleet, key);
}

static void check(struct fleet *fleet)
{
    char key[FLEET_KEY_SIZE];
    fleet->check_is_there = false;
    fleet->stage = FLEET_CHECKS;
    if (fleet_name_put(fleet->prefix, &(struct fleet_name){.kind = FLEET_CHECK}, key) < 0 ||
        fleet_get(fleet->store, &(struct fleet_get){.key = key, .timeout_ms = FLEET_TIMEOUT_MS, .found = checked,
                                                    .ended = check_ended, .user = fleet}) < 0)
        fail_here(fleet);
}

/* -- what there is, and what changes ------------------------------------------------------- */

static void changed(void *user, const struct fleet_entry *entry)
{
    struct fleet *fleet = user;
    struct fleet_name name;
    struct fleet_aap *aap = fleet_aap_note(fleet, entry, &name);
    if (!aap)
        return;
    if (aap->listing)
        aap->changed = true;
    else if (aap->listed)
        fetch_take(fleet, aap, &name, entry);
    fleet_aap_due(fleet, aap, clock_monotonic_ms());
}

static void reached(void *user, int64_t revision)
{
}

static void lost(void *user)
{
    struct fleet *fleet = user;
    fleet->lost = true;
}

static void interrupted(void *user, const struct fleet_error *error)
{
    struct fleet *fleet = user;
    if (error->number)
        outage_begin(fleet, error);
    else
        outage_end(fleet);
}

static void watch(struct fleet *fleet, int64_t revision)
{
    char prefix[FLEET_KEY_SIZE];
    const struct fleet_watch_wish wish = {
        .prefix = prefix,
        .after = revision,
        .changed = changed,
        .reached = reached,
        .lost = lost,
        .interrupted = interrupted,
        .user = fleet,
    };
    fleet->lost = false;
    if (fleet_name_aaps(fleet->prefix, prefix) < 0 || !(fleet->watch = fleet_watch(fleet->store, &wish))) {
        fail_here(fleet);
        return;
    }
    fleet->stage = FLEET_IS_LISTED;
    outage_end(fleet);
    outage_show(fleet);
}

/* Calls DO for every AAP that somebody has looked at. */
static void each_aap(struct fleet *fleet, void (*do_it)(struct fleet *fleet, struct fleet_aap *aap))
{
    for (uint32_t number = 1; number < fleet->engine->aap_room; number++) {
        struct fleet_aap *aap = fleet_aap_find(fleet, number);
        if (aap)
            do_it(fleet, aap);
    }
}

static void begin_listing(struct fleet *fleet, struct fleet_aap *aap)
{
    fleet_aap_forget(aap);
    aap->listed = false;
    aap->listing = !aap->under_way; /* else by itself */
}

static void end_listing(struct fleet *fleet, struct fleet_aap *aap)
{
    aap->listed = aap->listing;
    aap->listing = false;
    fleet_aap_due(fleet, aap, clock_monotonic_ms());
}

static void break_off_listing(struct fleet *fleet, struct fleet_aap *aap)
{
    aap->listing = false;
}

static void found(void *user, const struct fleet_entry *entry)
{
    struct fleet_name name;
    fleet_aap_note(user, entry, &name);
}

static void listed(void *user, const struct fleet_error *error, int64_t revision)
{
    struct fleet *fleet = user;
    if (error->number) {
        each_aap(fleet, break_off_listing);
        fail(fleet, error);
        return;
    }
    each_aap(fleet, end_listing);
    watch(fleet, revision);
}

static void list(struct fleet *fleet)
{
    char prefix[FLEET_KEY_SIZE];
    fleet->stage = FLEET_LISTS;
    fleet->refusal_told = false;
    if (fleet_name_aaps(fleet->prefix, prefix) < 0 ||
        fleet_get(fleet->store, &(struct fleet_get){.key = prefix, .prefix = true, .keys_only = true,
                                                    .timeout_ms = FLEET_TIMEOUT_MS, .found = found, .ended = listed,
                                                    .user = fleet}) < 0) {
        fail_here(fleet);
        return;
    }
    each_aap(fleet, begin_listing);
}

/* -- from the start ------------------------------------------------------------------------ */

/* Whether it is known whose fleet this is, and its key is here. */
static bool is_ready(struct fleet *fleet)
{
    struct engine *engine = fleet->engine;
    char reason[CONFIG_PATH_SIZE + 256];
    if (!engine->store || engine->foreign_state)
        return false;
    registry_lock(engine->parts.registry);
    memcpy(fleet->account, registry_mount(engine->parts.registry)->account, sizeof(fleet->account));
    registry_unlock(engine->parts.registry);
    fleet->owner = (struct record_owner){fleet->account, engine->parts.config->region, NULL};
    if (!fleet->has_key && fleet_key_read(&engine->parts.config->fleet, fleet->key, reason, sizeof(reason)) < 0) {
        outage_refuse(fleet, reason);
        return false;
    }
    fleet->has_key = true;
    return true;
}

int64_t connection_tend(struct fleet *fleet)
{
    if (fleet->stage == FLEET_IS_LISTED && fleet->lost) {
        fleet_end_watch(fleet->store, steal_pointer(&fleet->watch));
        fleet->stage = FLEET_WAITS;
    }
    if (fleet->stage != FLEET_WAITS && fleet->stage != FLEET_REFUSED)
        return INT64_MAX;
    if (fleet->again_ms > clock_monotonic_ms())
        return fleet->again_ms;
    if (is_ready(fleet))
        check(fleet);
    return fleet->stage == FLEET_REFUSED ? fleet->again_ms : INT64_MAX;
}
