#include "fs/upkeep/upkeep.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/applications/notified.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/fleet/fleet.h"
#include "fs/fleet/lock.h"
#include "fs/fleet/served.h"
#include "fs/sync/aaps.h"
#include "fs/sync/account.h"
#include "fs/upkeep/net.h"
#include "fs/upkeep/rotations.h"
#include "fs/upkeep/scheduled.h"
#include "fs/upkeep/superseded.h"
#include "fs/upkeep/warnings.h"

enum {
#ifdef AAPFS_WITH_STOPS
    CLOCK_ASK_MS = 1000,
#else
    CLOCK_ASK_MS = 10 * 1000,
#endif
    MEMORY_MS = 1000, /* until memory may be there again */
};

struct upkeep {
    struct due rotations;   /* that may begin now, the one whose key ends first before the others */
    struct due deletions;   /* that may begin now */
    int64_t clock_asked_ms; /* CLOCK_BOOTTIME: when KMS was asked for its time last */
    int64_t again_ms;       /* CLOCK_BOOTTIME: when to tend again, if nothing is due before */
    struct net *net;
};

static void sooner(int64_t *wait_ms, int64_t other_ms)
{
    if (other_ms < *wait_ms)
        *wait_ms = other_ms < 0 ? 0 : other_ms;
}

/* -- what is due --------------------------------------------------------------------------- */

/* WHEN INT64_MAX: it is not. False: memory is short. */
static bool set_ready(struct due *due, struct due_entry *entry, uint32_t aap, int64_t when)
{
    bool added = entry->number != 0;
    if (!added && (when == INT64_MAX || !due_reserve(due)))
        return when == INT64_MAX;
    if (!added)
        due_add(due, entry, aap);
    due_at(due, entry, when);
    return true;
}

static void look_at(struct engine *engine, uint32_t aap)
{
    struct upkeep *upkeep = engine->upkeep;
    struct engine_aap *notes = engine_noted(engine, aap);
    bool rotation = false, deletion = false;
    int64_t end = 0, wait_ms = INT64_MAX;
    due_at(&engine->looks, &notes->look, INT64_MAX);
    fleet_look(engine, aap);
    sooner(&wait_ms, scheduled_look(engine, aap));
    sooner(&wait_ms, notified_look(engine, aap)); /* what is in use has its place */
    sooner(&wait_ms, rotations_look(engine, aap, &rotation, &end));
    sooner(&wait_ms, superseded_look(engine, aap, &deletion));
    sooner(&wait_ms, warnings_look(engine, aap));
    served_look(engine, aap);
    if (!set_ready(&upkeep->rotations, &notes->upkeep.rotation, aap, rotation ? end : INT64_MAX) ||
        !set_ready(&upkeep->deletions, &notes->upkeep.deletion, aap, deletion ? 0 : INT64_MAX))
        sooner(&wait_ms, MEMORY_MS);
    if (wait_ms != INT64_MAX) /* what a look has begun may have woken it already */
        due_by(&engine->looks, &notes->look, clock_boottime_ms() + (wait_ms < 1 ? 1 : wait_ms));
}

static void look_at_what_is_due(struct engine *engine)
{
    uint32_t aap;
    while ((aap = due_take(&engine->looks, clock_boottime_ms())))
        if (engine_has_aap(engine, aap))
            look_at(engine, aap);
}

/* -- what goes out ------------------------------------------------------------------------- */

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
    struct upkeep *upkeep = engine->upkeep;
    const struct kms_clock *clock = &engine->clock;
    int64_t now_ms = clock_boottime_ms(), settles_ms = clock_settles_ms(clock);
    int64_t at_ms = upkeep->clock_asked_ms ? upkeep->clock_asked_ms + CLOCK_ASK_MS : now_ms;
    if (settles_ms == 0)
        return INT64_MAX;
    if (upkeep->clock_asked_ms >= clock->doubted_ms && at_ms < settles_ms)
        at_ms = settles_ms;
    if (at_ms > now_ms)
        return at_ms - now_ms;
    upkeep->clock_asked_ms = now_ms;
    sync_soon(engine);
    return CLOCK_ASK_MS;
}

/* Whether nothing of AAP is under way, and it is there. */
static bool may_begin(struct engine *engine, uint32_t aap)
{
    return engine_has_aap(engine, aap) && !engine_noted(engine, aap)->running;
}

/* The most urgent one; a rotation goes before a deletion. */
static void begin_one(struct engine *engine)
{
    uint32_t aap;
    if ((aap = due_take(&engine->upkeep->rotations, INT64_MAX - 1))) {
        if (may_begin(engine, aap))
            rotations_begin(engine, aap);
    } else if ((aap = due_take(&engine->upkeep->deletions, INT64_MAX - 1)) && may_begin(engine, aap)) {
        superseded_begin(engine, aap);
    }
    engine_wake(engine, aap);
}

static bool is_any_ready(const struct upkeep *upkeep)
{
    return due_when(&upkeep->rotations) != INT64_MAX || due_when(&upkeep->deletions) != INT64_MAX;
}

/* Until the pace allows the next one. */
static int64_t begin_ready(struct engine *engine)
{
    unsigned int rate = engine->parts.config->requests_per_second;
    while (may_send(engine) && is_any_ready(engine->upkeep)) {
        int64_t now_ms = clock_monotonic_ms();
        if (!pace_take(&engine->pace, rate, now_ms))
            return pace_next_ms(&engine->pace, rate) - now_ms;
        begin_one(engine);
    }
    return INT64_MAX;
}

void upkeep_tend(struct engine *engine)
{
    look_at_what_is_due(engine);
    int64_t wait_ms = net_tend(engine, engine->upkeep->net, look_at);
    sooner(&wait_ms, settle_clock(engine));
    sooner(&wait_ms, begin_ready(engine));
    engine->upkeep->again_ms = clock_boottime_ms() + (wait_ms < 1 ? 1 : wait_ms);
}

int64_t upkeep_next_ms(const struct engine *engine)
{
    int64_t now_ms = clock_boottime_ms(), at_ms = engine->upkeep->again_ms;
    if (due_when(&engine->looks) < at_ms) /* what ended just now may have let something begin */
        at_ms = due_when(&engine->looks);
    return clock_monotonic_ms() + (at_ms > now_ms ? at_ms - now_ms : 0);
}

/* -- the start and the end ----------------------------------------------------------------- */

void upkeep_fill(struct engine *engine, uint32_t aap)
{
    bool ready;
    int64_t end;
    (void)notified_look(engine, aap);
    (void)rotations_look(engine, aap, &ready, &end);
}

bool upkeep_start(struct engine *engine)
{
    struct upkeep *upkeep = engine->upkeep = calloc(1, sizeof(*upkeep));
    if (!upkeep || !(upkeep->net = net_new()))
        return false;
    uint32_t count = engine_aap_count(engine);
    for (uint32_t aap = 1; aap <= count; aap++) {
        if (!registry_aap(engine->parts.registry, aap) || !engine_aap(engine, aap))
            continue;
        upkeep_fill(engine, aap);
        engine_wake(engine, aap);
    }
    return true;
}

void upkeep_end(struct engine *engine)
{
    if (!engine->upkeep)
        return;
    due_free(&engine->upkeep->rotations);
    due_free(&engine->upkeep->deletions);
    free(engine->upkeep->net);
    free(engine->upkeep);
}

void upkeep_follow_clock(struct engine *engine)
{
    const struct kms_clock before = engine->clock;
    if (clock_follow(&engine->clock, clock_local_ms(), clock_boottime_ms())) {
        registry_lock(engine->parts.registry);
        registry_mount(engine->parts.registry)->clock_offset_ms = engine->clock.offset_ms;
        registry_unlock(engine->parts.registry);
    }
    if (before.followed && before.step_ms != engine->clock.step_ms)
        engine_wake_all(engine);
}

/* -- commands ------------------------------------------------------------------------------ */

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
    notified_set(engine, operation->aap, NULL);
    notified_note(engine, operation->aap);
    operation_succeed(operation);
}

void upkeep_begin_rotate_due(struct operation *operation)
{
    rotations_attempt_due(operation->engine);
    operation_succeed(operation);
}

void upkeep_ended(struct operation *operation, int result)
{
    lock_leave(operation);
    if (operation->automatic && operation->command.verb == CONTROL_DELETE)
        superseded_ended(operation, result);
    else if (operation->automatic && operation->command.verb == CONTROL_ROTATE)
        rotations_ended(operation, result);
    if (operation->aap == 0 || !engine_has_aap(operation->engine, operation->aap))
        return;
    upkeep_fill(operation->engine, operation->aap); /* whoever is answered sees it */
    engine_wake(operation->engine, operation->aap);
}
