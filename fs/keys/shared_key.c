#include "fs/keys/shared_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/base/nanoseconds.h"
#include "fs/base/stops.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/admit.h"
#include "fs/keys/deletion.h"
#include "fs/keys/judge.h"
#include "fs/store/store_intent.h"
#include "fs/sync/doubts.h"

static void shown(struct operation *operation)
{
    operation_end(operation, 0); /* a last_error is of what somebody asked for */
}

/* As an adopted one's: of an intent that is left nothing came. */
static int save(struct engine *engine, struct record *record)
{
    struct store_intent *intent;
    const struct store_wish wish = {
        .aap_name = record->aap_name,
        .not_before = record->not_before,
        .not_after = record->not_after,
        .dates_given = true,
        .adopted = true,
        .made_ns = nanoseconds(engine_now(engine)),
    };
    int r = store_reserve(engine->store, &wish, &intent);
    if (r < 0)
        return r;
    record->intent = store_intent_number(intent); /* numbers are each host's own */
    r = store_save(engine->store, intent, record);
    if (r < 0)
        store_drop(engine->store, intent);
    stop_here("engine-shared");
    return r;
}

/* Of AAP, to which it belongs until its end. NULL: memory is short. */
static struct operation *begin(struct engine *engine, uint32_t aap, const char *client_key_id)
{
    struct operation *operation = operation_new_automatic(engine, aap, CONTROL_SHARED_KEY);
    if (!operation)
        return NULL;
    operation->by = "another host of the fleet";
    snprintf(operation->command.client_key_id, sizeof(operation->command.client_key_id), "%s", client_key_id);
    registry_lock(engine->parts.registry);
    operation_take_aap(operation);
    registry_unlock(engine->parts.registry);
    return operation;
}

static bool leaves(struct engine *engine, uint32_t aap, const char *client_key_id)
{
    registry_lock(engine->parts.registry);
    const struct registry_key *foreign = registry_find_foreign(registry_aap(engine->parts.registry, aap), client_key_id);
    bool deleted = foreign && foreign->deleted;
    registry_unlock(engine->parts.registry);
    return deleted;
}

int shared_key_came(struct engine *engine, uint32_t aap, struct record *record)
{
    struct client_key forms;
    char reason[256];
    if (leaves(engine, aap, record->client_key_id))
        return -EBUSY;
    int r = judge_record(engine->parts.library, record, &forms, reason, sizeof(reason));
    if (r == 0)
        r = save(engine, record);
    struct operation *operation = r == 0 ? begin(engine, aap, record->client_key_id) : NULL;
    if (operation) {
        r = admit_key(operation, record, &forms);
        doubts_forget(engine, aap, record->client_key_id);
        if (r < 0) /* the next start shows it */
            operation_end(operation, r);
        else
            admit_show_key(operation, shown);
    } else if (r == 0) {
        r = -ENOMEM;
    }
    client_key_clear(&forms);
    return r;
}

int shared_key_gone(struct engine *engine, uint32_t aap, const char *client_key_id)
{
    struct operation *operation = begin(engine, aap, client_key_id);
    if (!operation)
        return -ENOMEM;
    registry_lock(engine->parts.registry);
    struct registry_aap *its = registry_aap(engine->parts.registry, aap);
    struct registry_key *key = registry_find_key(its, client_key_id);
    log_notice("%s: deleted %s, by %s", its->name, client_key_id, operation->by);
    operation->key = key->number;
    key->deleted = true;
    registry_unlock(engine->parts.registry);
    deletion_hide(operation);
    return 0;
}
