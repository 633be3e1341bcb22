#include "fs/sync/leave.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/engine/engine.h"
#include "fs/sync/client_keys.h"
#include "fs/sync/doubts.h"

struct leaving {
    struct engine *engine;
    uint32_t aap;
    void (*done)(void *user, int result);
    void *user;
};

bool leave_has_private(const struct engine *engine, const struct registry_aap *aap)
{
    return aap->keys || aap->rejected || aap->unsaved || doubts_have_intent(engine, aap->number);
}

bool leave_is_free(const struct engine *engine, uint32_t aap)
{
    const struct engine_aap *notes = engine_noted(engine, aap);
    return notes && !notes->running && !notes->hook_generation && !notes->upkeep.deleting && engine_is_caught_up(engine, aap);
}

static void told(void *user, int result)
{
    (void)user, (void)result; /* a file that the kernel cannot be told of it has for a day at most */
}

/* Whoever holds a file of it open: the kernel asks again, and hears that there is none. */
static void tell_holders(struct engine *engine, uint32_t aap_number)
{
    size_t count = 0;
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, aap_number);
    for (const struct registry_key *key = aap ? aap->keys : NULL; key; key = key->next)
        count++;
    uint32_t *keys = calloc(count + 1, sizeof(*keys));
    count = 0;
    for (const struct registry_key *key = aap && keys ? aap->keys : NULL; key; key = key->next)
        keys[count++] = key->number;
    uint32_t generation = aap ? aap->generation : 0;
    registry_unlock(engine->parts.registry);
    if (generation)
        engine_publish(engine, PUBLISH_GENERATION_ATTRIBUTES, generation, told, engine);
    while (count > 0)
        engine_publish(engine, PUBLISH_KEY_ATTRIBUTES, keys[--count], told, engine);
    free(keys);
}

static void hidden(void *user, int result)
{
    struct leaving *leaving = user;
    struct engine *engine = leaving->engine;
    const struct leaving left = *leaving;
    free(leaving);
    tell_holders(engine, left.aap);
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, left.aap);
    if (aap)
        registry_remove_aap(engine->parts.registry, aap);
    registry_unlock(engine->parts.registry);
    client_keys_forget(engine, left.aap);
    left.done(left.user, result);
}

void leave_begin(struct engine *engine, uint32_t aap, void (*done)(void *user, int result), void *user)
{
    struct leaving *leaving = calloc(1, sizeof(*leaving));
    if (!leaving) {
        done(user, -ENOMEM);
        return;
    }
    *leaving = (struct leaving){engine, aap, done, user};
    registry_lock(engine->parts.registry);
    struct numbered_aap *numbered = numbers_aap(registry_numbers(engine->parts.registry), aap);
    numbered->removed = true;
    /* until the kernel has dropped it, which the next worker may have to see to */
    numbered->settled = numbered->settled || numbered->shown;
    bool shown = numbered->settled;
    registry_unlock(engine->parts.registry);
    if (shown)
        engine_publish(engine, PUBLISH_REMOVE_AAP, aap, hidden, leaving);
    else
        hidden(leaving, 0);
}
