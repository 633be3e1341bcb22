#include "fs/keys/unsaved.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/applications/notified.h"
#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/keys/judge.h"

enum { FIRST_RETRY_MS = 5000, RETRY_MS = 30000 };

struct unsaved {
    uint32_t aap;
    struct store_intent *intent;
    struct record record; /* its own */
    int64_t again_ms;     /* CLOCK_MONOTONIC */
    struct unsaved *next;
};

int unsaved_keep(struct engine *engine, uint32_t aap, struct store_intent *intent, const struct record *record)
{
    struct unsaved *unsaved = calloc(1, sizeof(*unsaved));
    if (!unsaved || !record_copy(&unsaved->record, record)) {
        free(unsaved);
        return -ENOMEM;
    }
    unsaved->aap = aap;
    unsaved->intent = intent;
    unsaved->again_ms = clock_monotonic_ms() + FIRST_RETRY_MS;
    unsaved->next = engine->unsaved;
    engine->unsaved = unsaved;
    registry_lock(engine->parts.registry);
    registry_add_id(&registry_aap(engine->parts.registry, aap)->unsaved, record->client_key_id, record->intent);
    registry_unlock(engine->parts.registry);
    return 0;
}

/* It is on the disk: its id leaves the list, and last_error if it still tells of it. */
static void saved(struct engine *engine, const struct unsaved *unsaved)
{
    struct registry *registry = engine->parts.registry;
    const char *id = unsaved->record.client_key_id;
    registry_lock(registry);
    struct registry_aap *aap = registry_aap(registry, unsaved->aap);
    const struct registry_key *key = aap ? registry_find_key(aap, id) : NULL;
    if (aap)
        registry_remove_id(&aap->unsaved, id);
    if (aap && !aap->unsaved && strcmp(aap->failure.error.code, UNSAVED_CODE) == 0)
        aap->failure = (struct registry_failure){0};
    registry_unlock(registry);
    notified_changed(engine, unsaved->aap); /* its note had no place either */
    if (key) /* only this thread removes keys */
        judge_keep_forms(engine->store, unsaved->record.aap_name, key);
}

static void free_unsaved(struct unsaved *unsaved)
{
    record_clear(&unsaved->record);
    free(unsaved);
}

int64_t unsaved_tend(struct engine *engine)
{
    int64_t now_ms = clock_monotonic_ms(), next_ms = INT64_MAX;
    struct unsaved **link = &engine->unsaved;
    while (*link) {
        struct unsaved *unsaved = *link;
        if (now_ms >= unsaved->again_ms) {
            if (store_save(engine->store, unsaved->intent, &unsaved->record) == 0) {
                saved(engine, unsaved);
                *link = unsaved->next;
                free_unsaved(unsaved);
                continue;
            }
            unsaved->again_ms = now_ms + RETRY_MS;
        }
        next_ms = unsaved->again_ms < next_ms ? unsaved->again_ms : next_ms;
        link = &unsaved->next;
    }
    return next_ms;
}

const struct record *unsaved_record(const struct engine *engine, const char *client_key_id)
{
    const struct unsaved *unsaved = engine->unsaved;
    while (unsaved && strcmp(unsaved->record.client_key_id, client_key_id) != 0)
        unsaved = unsaved->next;
    return unsaved ? &unsaved->record : NULL;
}

static void drop(struct engine *engine, struct unsaved **link)
{
    struct unsaved *unsaved = *link;
    *link = unsaved->next;
    store_drop(engine->store, unsaved->intent);
    registry_lock(engine->parts.registry);
    registry_remove_id(&registry_aap(engine->parts.registry, unsaved->aap)->unsaved, unsaved->record.client_key_id);
    registry_unlock(engine->parts.registry);
    free_unsaved(unsaved);
}

bool unsaved_drop(struct engine *engine, const char *client_key_id)
{
    for (struct unsaved **link = &engine->unsaved; *link; link = &(*link)->next)
        if (strcmp((*link)->record.client_key_id, client_key_id) == 0) {
            drop(engine, link);
            return true;
        }
    return false;
}

void unsaved_drop_all(struct engine *engine, uint32_t aap)
{
    struct unsaved **link = &engine->unsaved;
    while (*link)
        if ((*link)->aap == aap)
            drop(engine, link);
        else
            link = &(*link)->next;
}

void unsaved_end(struct engine *engine)
{
    while (engine->unsaved) {
        struct unsaved *unsaved = engine->unsaved;
        engine->unsaved = unsaved->next;
        int r = store_save(engine->store, unsaved->intent, &unsaved->record);
        if (r < 0) {
            log_error("%s: the client key %s could not be saved and is lost: %s",
                      unsaved->record.aap_name, unsaved->record.client_key_id, strerror(-r));
            store_leave(engine->store, unsaved->intent);
        }
        free_unsaved(unsaved);
    }
}
