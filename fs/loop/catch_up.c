#include "fs/loop/catch_up.h"

#include <stdlib.h>

#include "fs/applications/follow.h"
#include "fs/applications/hook.h"
#include "fs/engine/engine.h"
#include "fs/sync/leave.h"

/* One publication. */
struct catching_up {
    struct engine *engine;
    uint32_t aap;
};

static void published(void *user, int result);

static void publish(struct engine *engine, uint32_t aap, enum publish_kind kind, uint32_t number)
{
    struct catching_up *one = malloc(sizeof(*one));
    if (!one)
        return; /* the names are there; who watches is not told */
    *one = (struct catching_up){engine, aap};
    engine->aaps[aap]->catching_up++;
    engine_publish(engine, kind, number, published, one);
}

/* The names come last: what `current` leads to is there by then. */
static void publish_names(struct engine *engine, uint32_t aap)
{
    struct engine_aap *notes = engine->aaps[aap];
    uint32_t generation = notes->generation_behind;
    if (notes->catching_up > 0)
        return;
    notes->generation_behind = 0;
    if (generation)
        publish(engine, aap, PUBLISH_GENERATION, generation);
    if (!engine_is_caught_up(engine, aap))
        return;
    engine_wake(engine, aap);
    hook_tend(engine, aap);
    follow_expect(engine, aap);
}

static void published(void *user, int result)
{
    struct catching_up *one = user;
    struct engine *engine = one->engine;
    uint32_t aap = one->aap;
    free(one);
    engine->aaps[aap]->catching_up--;
    (void)result; /* readers see the names all the same */
    publish_names(engine, aap);
}

static void left(void *user, int result)
{
    published(user, result);
}

/* An earlier worker was about to remove its directory. */
static void leave(struct engine *engine, uint32_t aap)
{
    struct catching_up *one = malloc(sizeof(*one));
    if (!one)
        return; /* the next listing removes it */
    *one = (struct catching_up){engine, aap};
    engine->aaps[aap]->catching_up++;
    leave_begin(engine, aap, left, one);
}

/*
 * Whoever asks from here on sees the newest; who has asked before, when the rename comes or its time is over. Which would
 * be long where the worker before did not get as far as to loosen the names: they stay as they are until they move.
 */
static void show_newest(struct numbers *numbers, const struct registry_aap *aap)
{
    int64_t now_ms = clock_monotonic_ms();
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
        if (i == PUBLISHED_CURRENT || aap->current->files[i - 1].data)
            numbers_show(numbers, aap->generation, (enum published_name)i, now_ms);
}

/* Whether AAP's directory is still to be shown; *GENERATION: which names are to be shown anew, 0: none. */
static bool is_behind(struct registry *registry, struct registry_aap *aap, uint32_t *generation)
{
    struct numbered_aap *numbered = numbers_aap(registry_numbers(registry), aap->number);
    if (numbered->shown)
        numbered->settled = true;
    if (aap->current && numbered->settled_generation != aap->generation) {
        /* names come after the directory of their key: of one that is not there nobody has seen anything */
        bool begun = numbers_key(registry_numbers(registry), aap->current->number)->shown;
        if (begun && numbered->loose)
            show_newest(registry_numbers(registry), aap);
        *generation = begun ? registry_make_again(registry, aap) : aap->generation;
    }
    return !numbered->shown;
}

static void catch_up_aaps(struct engine *engine)
{
    struct registry *registry = engine->parts.registry;
    uint32_t count = engine_aap_count(engine);
    for (uint32_t number = 1; number <= count; number++) {
        uint32_t generation = 0;
        registry_lock(registry);
        struct registry_aap *aap = registry_aap(registry, number);
        bool leaves = aap && registry_aap_leaves(registry, number);
        bool directory = aap && !leaves && is_behind(registry, aap, &generation);
        registry_unlock(registry);
        struct engine_aap *notes = leaves || directory || generation ? engine_aap(engine, number) : NULL;
        if (!notes)
            continue;
        if (leaves) {
            leave(engine, number);
            continue;
        }
        notes->generation_behind = generation;
        if (directory)
            publish(engine, number, PUBLISH_AAP, number);
    }
}

/* The first key at or after the one of NUMBER that keys/ does not show; 0: none. */
static uint32_t next_key(struct registry *registry, uint32_t number, uint32_t *aap)
{
    struct numbers *numbers = registry_numbers(registry);
    uint32_t count = numbers_key_count(numbers);
    for (; number <= count; number++) {
        struct numbered_key *numbered = numbers_key(numbers, number);
        if (numbered->shown)
            numbered->settled = true;
        if (numbered->shown || !registry_key(registry, number))
            continue;
        *aap = numbered->aap;
        return number;
    }
    return 0;
}

static void catch_up_keys(struct engine *engine)
{
    struct registry *registry = engine->parts.registry;
    uint32_t aap = 0, key;
    for (uint32_t number = 1;; number = key + 1) {
        registry_lock(registry);
        key = next_key(registry, number, &aap);
        registry_unlock(registry);
        if (key == 0)
            return;
        if (engine_aap(engine, aap))
            publish(engine, aap, PUBLISH_KEY, key);
    }
}

void catch_up(struct engine *engine)
{
    catch_up_aaps(engine);
    catch_up_keys(engine);
    for (uint32_t aap = 1; aap < engine->aap_room; aap++)
        if (engine->aaps[aap])
            publish_names(engine, aap);
}
