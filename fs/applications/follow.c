#include "fs/applications/follow.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/base/stops.h"
#include "fs/engine/engine.h"

enum {
    PASS_MOST = 64,     /* superseded generations that one pass tells of, the newest */
    WALK_MOST = 4096,   /* and looks at */
    BETWEEN_MS = 200,   /* passes of an AAP that is rotated without a pause */
    KEEP_REMOVED_MS = 1000, /* beyond the last moment at which a file shows it */
};

/* What is to be told of an AAP's generations. */
struct following {
    struct engine *engine;
    uint32_t aap;
    int64_t due_ms;      /* CLOCK_MONOTONIC; INT64_MAX: nothing is */
    int64_t soonest_ms;  /* of the next pass */
    uint32_t target; /* where the pass under way leads; 0: none is */
    uint32_t at;     /* the generation that it has come to */
    unsigned int told, walked;
};

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t settle_ms(const struct engine *engine)
{
    return engine->parts.config->settle_ms + FOLLOW_GRACE_MS;
}

static struct following *following_of(struct engine *engine, uint32_t aap)
{
    struct engine_aap *notes = engine_aap(engine, aap);
    if (notes && !notes->following) {
        notes->following = calloc(1, sizeof(*notes->following));
        if (notes->following)
            *notes->following = (struct following){.engine = engine, .aap = aap, .due_ms = INT64_MAX};
    }
    return notes ? notes->following : NULL;
}

/* With the registry's lock. */
static int64_t due_ms(const struct following *following)
{
    struct numbers *numbers = registry_numbers(following->engine->parts.registry);
    const struct numbered_aap *aap = numbers_aap(numbers, following->aap);
    if (!aap || aap->settled_generation <= aap->followed)
        return INT64_MAX;
    int64_t first_ms = numbers_superseded_ms(numbers, following->aap, aap->followed);
    if (first_ms == INT64_MAX)
        return first_ms;
    first_ms += settle_ms(following->engine);
    return first_ms < following->soonest_ms ? following->soonest_ms : first_ms;
}

void follow_expect(struct engine *engine, uint32_t aap)
{
    struct following *following = following_of(engine, aap);
    if (!following || following->target != 0)
        return; /* the end of the pass under way looks again */
    registry_lock(engine->parts.registry);
    int64_t due = due_ms(following);
    registry_unlock(engine->parts.registry);
    following->due_ms = due;
    engine->follow_ms = sooner(engine->follow_ms, following->due_ms);
}

void follow_expect_all(struct engine *engine)
{
    uint32_t count = engine_aap_count(engine);
    for (uint32_t aap = 1; aap <= count; aap++)
        follow_expect(engine, aap);
}

static void end_pass(struct following *following)
{
    struct engine *engine = following->engine;
    registry_lock(engine->parts.registry);
    numbers_aap(registry_numbers(engine->parts.registry), following->aap)->followed = following->target;
    following->target = 0;
    following->soonest_ms = clock_monotonic_ms() + BETWEEN_MS;
    following->due_ms = due_ms(following);
    registry_unlock(engine->parts.registry);
    engine->follow_ms = sooner(engine->follow_ms, following->due_ms);
}

/* The next older generation of which somebody may hold a file; 0: none. With the registry's lock. */
static uint32_t next_held(struct numbers *numbers, struct following *following)
{
    const struct numbered_generation *generation = numbers_generation(numbers, following->at);
    while (generation && following->told < PASS_MOST && following->walked++ < WALK_MOST) {
        following->at = generation->previous;
        generation = numbers_generation(numbers, following->at);
        if (generation && !generation->let_go)
            return following->at;
    }
    return 0;
}

static void told(void *user, int result);

static void go_on(struct following *following)
{
    struct engine *engine = following->engine;
    registry_lock(engine->parts.registry);
    uint32_t number = next_held(registry_numbers(engine->parts.registry), following);
    registry_unlock(engine->parts.registry);
    if (number == 0) {
        end_pass(following);
        return;
    }
    following->told++;
    const struct publish_request request = {PUBLISH_FOLLOW, number, told, following};
    engine->parts.publish(engine->parts.publish_user, &request);
}

static void told(void *user, int result)
{
    struct following *following = user;
    struct registry *registry = following->engine->parts.registry;
    if (result == -ENOENT) {
        registry_lock(registry);
        numbers_generation(registry_numbers(registry), following->at)->let_go = true;
        registry_unlock(registry);
    }
    stop_here("engine-follows");
    go_on(following);
}

static void begin_pass(struct following *following)
{
    struct engine *engine = following->engine;
    int64_t since_ms = clock_monotonic_ms() - settle_ms(engine);
    registry_lock(engine->parts.registry);
    struct numbers *numbers = registry_numbers(engine->parts.registry);
    const struct numbered_aap *aap = numbers_aap(numbers, following->aap);
    uint32_t target = numbers_shown_since(numbers, following->aap, since_ms);
    while (target > aap->settled_generation) /* some of its names may still lead to an older one */
        target = numbers_generation(numbers, target)->previous;
    bool new = target > aap->followed;
    following->soonest_ms = clock_monotonic_ms() + BETWEEN_MS; /* where settle was made longer, it is not time */
    following->due_ms = new ? INT64_MAX : due_ms(following);
    registry_unlock(engine->parts.registry);
    if (!new)
        return;
    following->target = following->at = target;
    following->told = following->walked = 0;
    go_on(following);
}

/* Until when a file may show KEY; 0: none does. With the registry's lock. */
static int64_t shown_until_ms(struct numbers *numbers, const struct registry_key *key, int64_t keep_ms)
{
    const struct numbered_key *numbered = numbers_key(numbers, key->number);
    uint32_t number = numbers_newest_generation(numbers, numbered->aap);
    int64_t superseded_ms = INT64_MAX, now_ms = clock_monotonic_ms();
    while (number != 0) {
        const struct numbered_generation *generation = numbers_generation(numbers, number);
        if (generation->key == key->number)
            return superseded_ms == INT64_MAX ? 0 : superseded_ms + keep_ms;
        if (generation->shown_ms != 0)
            superseded_ms = generation->shown_ms;
        if (superseded_ms != INT64_MAX && superseded_ms + keep_ms <= now_ms)
            return 0;
        number = generation->previous;
    }
    return 0;
}

/* Wipes one whose time has come: its number; 0: there is none, and *NEXT_MS is when there is. */
static uint32_t wipe_one(struct engine *engine, int64_t *next_ms)
{
    struct registry *registry = engine->parts.registry;
    int64_t now_ms = clock_monotonic_ms();
    uint32_t number = 0;
    *next_ms = INT64_MAX;
    registry_lock(registry);
    for (struct registry_key *key = registry_first_removed(registry); key; key = key->next) {
        int64_t until_ms = shown_until_ms(registry_numbers(registry), key, settle_ms(engine) + KEEP_REMOVED_MS);
        if (until_ms <= now_ms) {
            number = key->number;
            registry_wipe_key(registry, key);
            break;
        }
        *next_ms = sooner(*next_ms, until_ms);
    }
    registry_unlock(registry);
    return number;
}

static void holders_told(void *user, int result)
{
    (void)user, (void)result; /* a file that the kernel cannot be told of it has for a day at most */
}

/* Whoever still holds a file of one open: the kernel asks again, and hears that there is none. */
static int64_t wipe_removed(struct engine *engine)
{
    struct publish_request request = {PUBLISH_KEY_ATTRIBUTES, 0, holders_told, engine};
    int64_t next_ms;
    while ((request.number = wipe_one(engine, &next_ms)))
        engine->parts.publish(engine->parts.publish_user, &request);
    return next_ms;
}

int64_t follow_tend(struct engine *engine)
{
    int64_t wipe_ms = wipe_removed(engine);
    if (clock_monotonic_ms() < engine->follow_ms)
        return sooner(engine->follow_ms, wipe_ms);
    engine->follow_ms = INT64_MAX;
    for (uint32_t aap = 1; aap < engine->aap_room; aap++) {
        struct following *following = engine->aaps[aap].following;
        if (!following || following->target != 0)
            continue;
        if (following->due_ms <= clock_monotonic_ms())
            begin_pass(following);
        engine->follow_ms = sooner(engine->follow_ms, following->due_ms);
    }
    return sooner(engine->follow_ms, wipe_ms);
}

void follow_end(struct engine *engine)
{
    for (uint32_t aap = 1; aap < engine->aap_room; aap++)
        free(engine->aaps[aap].following);
}
