#include "fs/upkeep/upkeep.h"

#include <errno.h>

#include "fs/applications/told.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/sync/aaps.h"
#include "fs/sync/account.h"
#include "fs/upkeep/rotations.h"
#include "fs/upkeep/scheduled.h"
#include "fs/upkeep/superseded.h"
#include "fs/upkeep/warnings.h"

enum {
    LOOK_MS = 60 * 1000,
#ifdef AAPFS_WITH_STOPS
    CLOCK_ASK_MS = 1000,
#else
    CLOCK_ASK_MS = 10 * 1000,
#endif
};

/* What a walk has found: the most urgent rotation, and a deletion. 0: none. */
struct found {
    uint32_t rotation, deletion;
    int64_t end;
    int64_t wait_ms; /* until something comes due */
};

static void sooner(int64_t *wait_ms, int64_t other_ms)
{
    if (other_ms < *wait_ms)
        *wait_ms = other_ms < 0 ? 0 : other_ms;
}

static void look_at(struct engine *engine, uint32_t aap, struct found *found)
{
    bool rotation = false, deletion = false;
    int64_t end = 0;
    sooner(&found->wait_ms, scheduled_look(engine, aap));
    sooner(&found->wait_ms, automatic_look(engine, aap, &rotation, &end));
    sooner(&found->wait_ms, told_look(engine, aap));
    sooner(&found->wait_ms, superseded_look(engine, aap, &deletion));
    sooner(&found->wait_ms, warnings_look(engine, aap));
    if (rotation && (!found->rotation || end < found->end)) {
        found->rotation = aap;
        found->end = end;
    }
    if (deletion && !found->deletion)
        found->deletion = aap;
}

/* Of one whose directory is on its way out nothing is begun. */
static bool is_there(struct engine *engine, uint32_t aap)
{
    registry_lock(engine->parts.registry);
    bool there = registry_aap(engine->parts.registry, aap) &&
                 !numbers_aap(registry_numbers(engine->parts.registry), aap)->removed;
    registry_unlock(engine->parts.registry);
    return there && engine_aap(engine, aap);
}

static void walk(struct engine *engine, struct found *found)
{
    uint32_t count = engine_aap_count(engine);
    *found = (struct found){.wait_ms = LOOK_MS};
    for (uint32_t aap = 1; aap <= count; aap++)
        if (is_there(engine, aap))
            look_at(engine, aap, found);
}

/* Nothing goes out by itself before KMS has told whose keys these are, and, beyond doubt, its time. */
static bool may_send(const struct engine *engine)
{
    return account_may_send(engine) && clock_is_sure(&engine->clock) && !engine->foreign_state && !engine->draining;
}

/*
 * A doubt holds up everything: KMS is asked at once, which ends one that a single answer raised, and again when the doubt
 * can be settled.
 */
static int64_t settle_clock(struct engine *engine)
{
    const struct kms_clock *clock = &engine->clock;
    int64_t now_ms = clock_boottime_ms(), settles_ms = clock_settles_ms(clock);
    int64_t at_ms = engine->clock_asked_ms ? engine->clock_asked_ms + CLOCK_ASK_MS : now_ms;
    if (settles_ms == 0)
        return INT64_MAX;
    if (engine->clock_asked_ms >= clock->doubted_ms && at_ms < settles_ms)
        at_ms = settles_ms;
    if (at_ms > now_ms)
        return at_ms - now_ms;
    engine->clock_asked_ms = now_ms;
    sync_soon(engine);
    return CLOCK_ASK_MS;
}

void upkeep_fill(struct engine *engine, uint32_t aap)
{
    bool ready;
    int64_t end;
    (void)automatic_look(engine, aap, &ready, &end);
    (void)told_look(engine, aap);
}

void upkeep_start(struct engine *engine)
{
    uint32_t count = engine_aap_count(engine);
    for (uint32_t aap = 1; aap <= count; aap++)
        if (registry_aap(engine->parts.registry, aap) && engine_aap(engine, aap))
            upkeep_fill(engine, aap);
}

void upkeep_follow_clock(struct engine *engine)
{
    if (!clock_follow(&engine->clock, clock_local_ms(), clock_boottime_ms()))
        return;
    registry_lock(engine->parts.registry);
    registry_mount(engine->parts.registry)->clock_offset_ms = engine->clock.offset_ms;
    registry_unlock(engine->parts.registry);
    engine->upkeep_ms = 0;
}

void upkeep_tend(struct engine *engine)
{
    unsigned int rate = engine->parts.config->requests_per_second;
    while (clock_monotonic_ms() >= engine->upkeep_ms) {
        struct found found;
        int64_t now_ms = clock_monotonic_ms();
        walk(engine, &found);
        sooner(&found.wait_ms, settle_clock(engine));
        bool any = may_send(engine) && (found.rotation || found.deletion);
        if (any && !pace_take(&engine->pace, rate, now_ms)) {
            sooner(&found.wait_ms, pace_next_ms(&engine->pace, rate) - now_ms);
            any = false;
        }
        engine->upkeep_ms = now_ms + (any ? 0 : found.wait_ms < 1 ? 1 : found.wait_ms);
        if (any && found.rotation)
            automatic_begin(engine, found.rotation);
        else if (any)
            superseded_begin(engine, found.deletion);
    }
}

void upkeep_begin_reloaded(struct operation *operation)
{
    struct engine *engine = operation->engine;
    registry_lock(engine->parts.registry);
    bool has_key = registry_aap(engine->parts.registry, operation->aap)->current;
    registry_unlock(engine->parts.registry);
    if (!has_key) {
        operation_refuse(operation, ENOENT, "NoKey", "this AAP has no client key yet");
        return;
    }
    told_set(engine, operation->aap, NULL);
    told_note(engine, operation->aap);
    operation_succeed(operation);
}

void upkeep_begin_rotate_due(struct operation *operation)
{
    automatic_attempt_due(operation->engine);
    operation_succeed(operation);
}

void upkeep_ended(struct operation *operation, int result)
{
    operation->engine->upkeep_ms = 0;
    if (operation->automatic && operation->command.verb == CONTROL_DELETE)
        superseded_ended(operation, result);
    else if (operation->automatic && operation->command.verb == CONTROL_ROTATE)
        automatic_ended(operation, result);
    /* whoever is answered sees it */
    if (is_there(operation->engine, operation->aap))
        upkeep_fill(operation->engine, operation->aap);
}
