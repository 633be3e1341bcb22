#include "fs/engine/engine.h"

#include <stdlib.h>

/* Less may pass unnoticed: KMS's answers move its time a little each time. */
enum { MOVED_MS = 1000 };

int64_t engine_now(const struct engine *engine)
{
    return clock_kms_time(&engine->clock, clock_local_ms(), clock_boottime_ms());
}

void engine_publish(struct engine *engine, enum publish_kind kind, uint32_t number, void (*done)(void *user, int result),
                    void *user)
{
    const struct publish_request request = {kind, number, done, user};
    engine->parts.publish(engine->parts.publish_user, &request);
}

/* With the registry's lock. A retried request is one, and so are the pages of a listing. */
static void count_request(struct engine *engine, const struct kms_answer *answer)
{
    const struct transport_answer *transport = answer->transport;
    int64_t ended_ms = transport->received_at_ms < transport->sent_at_ms ? clock_local_ms() /* none came */
                                                                         : transport->received_at_ms;
    counters_add_request(engine->parts.counters, answer->error.operation, answer->error.number ? answer->error.code : "",
                         transport->attempts ? ended_ms - transport->sent_at_ms : -1);
}

void engine_observe(struct engine *engine, const struct kms_answer *answer)
{
    const struct transport_answer *transport = answer->transport;
    if (!transport)
        return;
    bool sure = clock_is_sure(&engine->clock), observed = engine->clock.observed;
    clock_follow(&engine->clock, clock_local_ms(), clock_boottime_ms());
    clock_observe(&engine->clock, transport->server_date, transport->sent_at_ms,
                  transport->received_at_ms, clock_boottime_ms());
    int64_t moved_ms = engine->clock.offset_ms - engine->woken_offset_ms;
    if (clock_is_sure(&engine->clock) != sure || engine->clock.observed != observed || moved_ms > MOVED_MS || moved_ms < -MOVED_MS)
        engine_wake_all(engine); /* what is due by KMS's time is due at other times */
    registry_lock(engine->parts.registry);
    registry_mount(engine->parts.registry)->clock_offset_ms = engine->clock.offset_ms;
    count_request(engine, answer);
    registry_unlock(engine->parts.registry);
}

uint32_t engine_aap_count(const struct engine *engine)
{
    registry_lock(engine->parts.registry);
    uint32_t count = numbers_aap_count(registry_numbers(engine->parts.registry));
    registry_unlock(engine->parts.registry);
    return count;
}

bool engine_has_aap(const struct engine *engine, uint32_t aap)
{
    struct registry *registry = engine->parts.registry;
    registry_lock(registry);
    bool there = registry_aap(registry, aap) && !registry_aap_leaves(registry, aap);
    registry_unlock(registry);
    return there;
}

struct engine_aap *engine_noted(const struct engine *engine, uint32_t aap)
{
    return aap < engine->aap_room ? engine->aaps[aap] : NULL;
}

static bool make_room(struct engine *engine, uint32_t aap)
{
    size_t room = aap < 32 ? 64 : (size_t)aap * 2;
    if (aap < engine->aap_room)
        return true;
    struct engine_aap **grown = reallocarray(engine->aaps, room, sizeof(struct engine_aap *));
    if (!grown)
        return false;
    engine->aaps = grown;
    while (engine->aap_room < room)
        grown[engine->aap_room++] = NULL;
    return true;
}

struct engine_aap *engine_aap(struct engine *engine, uint32_t aap)
{
    struct engine_aap *notes = engine_noted(engine, aap);
    if (notes || !make_room(engine, aap) || !due_reserve(&engine->looks) || !due_reserve(&engine->listings))
        return notes;
    notes = engine->aaps[aap] = calloc(1, sizeof(*notes));
    if (notes) {
        due_add(&engine->looks, &notes->look, aap);
        due_add(&engine->listings, &notes->listing.due, aap);
    }
    return notes;
}

bool engine_is_caught_up(const struct engine *engine, uint32_t aap)
{
    const struct engine_aap *notes = engine_noted(engine, aap);
    return !notes || (notes->catching_up == 0 && notes->generation_behind == 0);
}

void engine_want_listing(struct engine *engine, uint32_t aap, int64_t when_ms)
{
    struct engine_aap *notes = engine_aap(engine, aap);
    if (notes)
        due_by(&engine->listings, &notes->listing.due, when_ms);
}

void engine_wake(struct engine *engine, uint32_t aap)
{
    struct engine_aap *notes = aap ? engine_aap(engine, aap) : NULL; /* 0: the mount's own */
    if (notes)
        due_at(&engine->looks, &notes->look, 0);
}

void engine_wake_all(struct engine *engine)
{
    engine->woken_offset_ms = engine->clock.offset_ms;
    for (uint32_t aap = 1; aap < engine->aap_room; aap++)
        if (engine->aaps[aap])
            engine_wake(engine, aap);
}

void engine_free_aaps(struct engine *engine)
{
    for (uint32_t aap = 0; aap < engine->aap_room; aap++)
        free(engine->aaps[aap]);
    free(engine->aaps);
    due_free(&engine->looks);
    due_free(&engine->listings);
}
