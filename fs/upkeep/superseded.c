#include "fs/upkeep/superseded.h"

#include <string.h>

#include <openssl/rand.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/deletion.h"
#include "fs/keys/make_place.h"
#include "fs/model/schedule.h"
#include "kmsapi/base/backoff.h"

enum {
    FIRST_RETRY_MS = 1000,
    LAST_RETRY_MS = 3600 * 1000,
    /* after another host was first, or is still to report the key that came after */
#ifdef AAPFS_WITH_STOPS
    YIELDED_MS = 1000,
#else
    YIELDED_MS = 60 * 1000,
#endif
};

static int64_t began(const struct registry_key *key)
{
    return key->scheduled && key->not_before_time > key->asked ? key->not_before_time : key->asked;
}

/* When KEY, superseded since that time, is to be deleted; 0: it stays. */
static int64_t due(const struct registry_aap *aap, const struct registry_key *key, int64_t since)
{
    const struct config_aap *config = aap->config;
    if (config->delete_superseded == DELETE_EXPIRED)
        return key->not_after_time;
    if (config->delete_superseded == DELETE_NEVER || aap->in_use_until)
        return 0;
    return (aap->notified.time > since ? aap->notified.time : since) + config->delete_after_seconds;
}

/* The one that is due first, and when. NULL: none will be. With the registry's lock. */
static const struct registry_key *find(const struct registry_aap *aap, int64_t now, int64_t *when)
{
    const struct registry_key *first = NULL;
    int64_t since = aap->current ? began(aap->current) : 0;
    for (const struct registry_key *key = aap->keys; aap->current && key; key = key->next) { /* newest first */
        if (key->deleted || schedule_waits(key, now))
            continue;
        int64_t at = key != aap->current && !key->adopted ? due(aap, key, since) : 0;
        if (at && (!first || at < *when)) {
            first = key;
            *when = at;
        }
        since = began(key);
    }
    return first;
}

int64_t superseded_look(struct engine *engine, uint32_t number, bool *ready)
{
    const struct engine_aap *notes = engine_aap(engine, number);
    int64_t now = engine_now(engine), when = 0, wait_ms = INT64_MAX;
    registry_lock(engine->parts.registry);
    bool any = find(registry_aap(engine->parts.registry, number), now, &when);
    registry_unlock(engine->parts.registry);
    if (!any || notes->upkeep.deleting || notes->running || !engine_is_caught_up(engine, number))
        return wait_ms;
    int64_t left_ms = notes->upkeep.delete_boot_ms - clock_boottime_ms();
    if (when > now)
        wait_ms = (when - now) * 1000;
    else if (left_ms > 0)
        wait_ms = left_ms;
    *ready = when <= now && left_ms <= 0;
    return wait_ms;
}

void superseded_begin(struct engine *engine, uint32_t number)
{
    struct upkeep_notes *notes = &engine_aap(engine, number)->upkeep;
    struct operation *operation = operation_new_automatic(engine, number, CONTROL_DELETE);
    int64_t when;
    notes->delete_boot_ms = clock_boottime_ms() + FIRST_RETRY_MS;
    if (!operation)
        return;
    registry_lock(engine->parts.registry);
    const struct registry_key *key = find(registry_aap(engine->parts.registry, number), engine_now(engine), &when);
    memcpy(operation->command.client_key_id, key->client_key_id, sizeof(operation->command.client_key_id));
    registry_unlock(engine->parts.registry);
    notes->deleting = operation;
    operation->by = "delete_superseded";
    deletion_begin(operation);
}

/* Hosts come again at different times. */
static int64_t yielded_ms(void)
{
    uint32_t random = 0;
    (void)RAND_bytes((unsigned char *)&random, sizeof(random));
    return YIELDED_MS + (int64_t)((uint64_t)YIELDED_MS * random >> 32);
}

static void note_end(struct upkeep_notes *notes, const struct operation *operation, int result)
{
    notes->deleting = NULL;
    if (operation->yields) {
        notes->delete_boot_ms = clock_boottime_ms() + yielded_ms();
        return;
    }
    if (result == 0) {
        notes->delete_failures = 0;
        notes->delete_boot_ms = 0;
        return;
    }
    notes->delete_boot_ms = clock_boottime_ms() + backoff_ms(FIRST_RETRY_MS, LAST_RETRY_MS, notes->delete_failures++);
}

void superseded_ended(struct operation *operation, int result)
{
    struct engine *engine = operation->engine;
    struct engine_aap *notes = engine_aap(engine, operation->aap);
    notes->operations++; /* a listing that was asked for before may still have the key */
    note_end(&notes->upkeep, operation, result);
    place_deleted(engine, operation->aap, result);
}
