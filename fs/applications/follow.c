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
    struct due_entry due; /* AAP's next pass */
    int64_t soonest_ms;  /* of the next pass */
    uint32_t target; /* where the pass under way leads; 0: none is */
    uint32_t at;     /* the generation that it has come to */
    unsigned int told, walked;
};

/* Times: CLOCK_MONOTONIC. */
struct follow {
    struct due passes;
    uint32_t removed; /* the key that was removed last when those were looked at */
    int64_t wipe_ms;  /* when one of those is to be wiped */
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
    if (!notes || notes->following || !due_reserve(&engine->follow->passes))
        return notes ? notes->following : NULL;
    struct following *following = notes->following = calloc(1, sizeof(*following));
    if (following) {
        following->engine = engine;
        due_add(&engine->follow->passes, &following->due, aap);
    }
    return following;
}

/* With the registry's lock. */
static int64_t due_ms(const struct following *following)
{
    struct numbers *numbers = registry_numbers(following->engine->parts.registry);
    const struct numbered_aap *aap = numbers_aap(numbers, following->due.number);
    if (!aap || aap->settled_generation <= aap->followed)
        return INT64_MAX;
    int64_t first_ms = numbers_superseded_ms(numbers, following->due.number, aap->followed);
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
    due_at(&engine->follow->passes, &following->due, due);
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
    numbers_aap(registry_numbers(engine->parts.registry), following->due.number)->followed = following->target;
    following->target = 0;
    following->soonest_ms = clock_monotonic_ms() + BETWEEN_MS;
    due_at(&engine->follow->passes, &following->due, due_ms(following));
    registry_unlock(engine->parts.registry);
}

/* The next older generation of which somebody may hold a file; 0: none. With the registry's lock. */
static uint32_t next_held(struct numbers *numbers, struct following *following)
{
    const struct numbered_generation *generation = numbers_generation(numbers, following->at);
    while (generation && following->told < PASS_MOST && following->walked++ < WALK_MOST) {
        following->at = generation->previous;
        generation = numbers_generation(numbers, following->at);
        if (generation && !generation->unheld)
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
    engine_publish(engine, PUBLISH_FOLLOW, number, told, following);
}

static void told(void *user, int result)
{
    struct following *following = user;
    struct registry *registry = following->engine->parts.registry;
    if (result == -ENOENT) {
        registry_lock(registry);
        numbers_generation(registry_numbers(registry), following->at)->unheld = true;
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
    const struct numbered_aap *aap = numbers_aap(numbers, following->due.number);
    uint32_t target = numbers_shown_since(numbers, following->due.number, since_ms);
    while (target > aap->settled_generation) /* some of its names may still lead to an older one */
        target = numbers_generation(numbers, target)->previous;
    bool new = target > aap->followed;
    following->soonest_ms = clock_monotonic_ms() + BETWEEN_MS; /* where settle was made longer, it is not time */
    due_at(&engine->follow->passes, &following->due, new ? INT64_MAX : due_ms(following));
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

/* Wipes one whose time has come: its number; 0: there is none. */
static uint32_t wipe_one(struct engine *engine)
{
    struct registry *registry = engine->parts.registry;
    struct follow *follow = engine->follow;
    int64_t now_ms = clock_monotonic_ms();
    uint32_t number = 0;
    registry_lock(registry);
    const struct registry_key *last = registry_first_removed(registry);
    bool is_new = last && last->number != follow->removed;
    follow->removed = last ? last->number : 0;
    if (is_new || now_ms >= follow->wipe_ms)
        follow->wipe_ms = INT64_MAX;
    else
        last = NULL;
    for (struct registry_key *key = last ? registry_first_removed(registry) : NULL; key; key = key->next) {
        int64_t until_ms = shown_until_ms(registry_numbers(registry), key, settle_ms(engine) + KEEP_REMOVED_MS);
        if (until_ms <= now_ms) {
            number = key->number;
            registry_wipe_key(registry, key);
            follow->wipe_ms = 0; /* another one's time may have come too */
            break;
        }
        follow->wipe_ms = sooner(follow->wipe_ms, until_ms);
    }
    registry_unlock(registry);
    return number;
}

static void holders_told(void *user, int result)
{
    (void)user, (void)result; /* a file that the kernel cannot be told of it has for a day at most */
}

/* Whoever still holds a file of one open: the kernel asks again, and hears that there is none. */
static void wipe_removed(struct engine *engine)
{
    uint32_t key;
    while ((key = wipe_one(engine)))
        engine_publish(engine, PUBLISH_KEY_ATTRIBUTES, key, holders_told, engine);
}

int64_t follow_tend(struct engine *engine)
{
    struct follow *follow = engine->follow;
    uint32_t aap;
    wipe_removed(engine);
    while ((aap = due_take(&follow->passes, clock_monotonic_ms())))
        begin_pass(engine_noted(engine, aap)->following);
    return sooner(due_when(&follow->passes), follow->wipe_ms);
}

bool follow_start(struct engine *engine)
{
    return (engine->follow = calloc(1, sizeof(*engine->follow)));
}

void follow_end(struct engine *engine)
{
    for (uint32_t aap = 1; aap < engine->aap_room; aap++)
        if (engine->aaps[aap])
            free(engine->aaps[aap]->following);
    if (engine->follow)
        due_free(&engine->follow->passes);
    free(engine->follow);
}
