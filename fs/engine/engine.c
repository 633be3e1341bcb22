#include "fs/engine/engine.h"

#include <stdlib.h>
#include <string.h>

int64_t engine_now(const struct engine *engine)
{
    return clock_kms_time(&engine->clock, clock_local_ms(), clock_boottime_ms());
}

/* With the registry's lock. A retried request is one, and so are the pages of a listing. */
static void count_request(struct engine *engine, const struct kms_answer *answer)
{
    const struct transport_answer *transport = answer->transport;
    int64_t ended_ms = transport->received_at_ms < transport->sent_at_ms ? clock_local_ms() /* none came */
                                                                         : transport->received_at_ms;
    counters_add_request(engine->parts.counters, answer->error.operation,
                         answer->error.number ? answer->error.code : "",
                         transport->attempts ? ended_ms - transport->sent_at_ms : -1);
}

void engine_observe(struct engine *engine, const struct kms_answer *answer)
{
    const struct transport_answer *transport = answer->transport;
    if (!transport)
        return;
    bool sure = clock_is_sure(&engine->clock);
    clock_follow(&engine->clock, clock_local_ms(), clock_boottime_ms());
    clock_observe(&engine->clock, transport->server_date, transport->sent_at_ms,
                  transport->received_at_ms, clock_boottime_ms());
    if (clock_is_sure(&engine->clock) != sure)
        engine->upkeep_ms = 0;
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
    bool there = registry_aap(registry, aap) && !numbers_aap(registry_numbers(registry), aap)->removed;
    registry_unlock(registry);
    return there;
}

struct engine_aap *engine_aap(struct engine *engine, uint32_t aap)
{
    if (aap >= engine->aap_room) {
        size_t room = aap < 32 ? 64 : (size_t)aap * 2;
        struct engine_aap *grown = reallocarray(engine->aaps, room, sizeof(*grown));
        if (!grown)
            return NULL;
        memset(grown + engine->aap_room, 0, (room - engine->aap_room) * sizeof(*grown));
        engine->aaps = grown;
        engine->aap_room = room;
    }
    return &engine->aaps[aap];
}

bool engine_is_caught_up(const struct engine *engine, uint32_t aap)
{
    return aap >= engine->aap_room ||
           (engine->aaps[aap].catching_up == 0 && engine->aaps[aap].generation_behind == 0);
}

void engine_want_listing(struct engine *engine, uint32_t aap, int64_t when_ms)
{
    struct engine_aap *notes = engine_aap(engine, aap);
    if (!notes)
        return;
    if (!notes->list_ms || when_ms < notes->list_ms)
        notes->list_ms = when_ms;
    if (when_ms < engine->listing_next_ms)
        engine->listing_next_ms = when_ms;
}
