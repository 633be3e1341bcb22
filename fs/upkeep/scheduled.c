#include "fs/upkeep/scheduled.h"

#include "fs/applications/notified.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/admit.h"
#include "fs/model/schedule.h"

static void shown(struct operation *operation)
{
    operation_end(operation, 0); /* a last_error is of what somebody asked for */
}

/* Makes it current; the operation that is to publish it. */
static struct operation *begin(struct engine *engine, struct registry_aap *aap, struct registry_key *key)
{
    struct operation *operation = operation_new_automatic(engine, aap->number, CONTROL_PUBLISH);
    if (!operation)
        return NULL;
    operation->key = key->number;
    key->begun = true;
    operation->generation = registry_make_current(engine->parts.registry, aap, key, clock_local_ns());
    if (!operation->generation) {
        operation_enter(operation, OPERATION_ENDED);
        return NULL;
    }
    operation_take_aap(operation);
    return operation;
}

int64_t scheduled_look(struct engine *engine, uint32_t number)
{
    int64_t now = engine_now(engine), wait_ms = INT64_MAX;
    struct operation *operation = NULL;
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    struct registry_key *key = schedule_current(aap, now);
    int64_t next = schedule_next_begin(aap, now);
    if (next)
        wait_ms = (next - now) * 1000;
    if (key && key != aap->current && !engine->draining && !engine_aap(engine, number)->running &&
        engine_is_caught_up(engine, number) && numbers_key(registry_numbers(engine->parts.registry), key->number)->shown)
        operation = begin(engine, aap, key);
    registry_unlock(engine->parts.registry);
    if (operation) {
        notified_note(engine, number);
        admit_show_names(operation, shown);
    }
    return wait_ms;
}
