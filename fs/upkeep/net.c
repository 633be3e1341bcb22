#include "fs/upkeep/net.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/sync/client_keys.h"

enum {
#ifdef AAPFS_WITH_STOPS
    ROUND_MS = 1000,
#else
    ROUND_MS = 60 * 1000,
#endif
    AT_ONCE = 512, /* AAPs */
    SOON_MS = 3000, /* so late may the queue be: clocks are read in whole seconds, and KMS's moves a little */
};

struct net {
    uint32_t last;    /* the AAP that was looked at last */
    int64_t again_ms; /* CLOCK_BOOTTIME */
    bool told;
};

struct net *net_new(void)
{
    return calloc(1, sizeof(struct net));
}

/* What a look may find. */
struct found {
    struct registry_rotation rotation;
    int64_t in_use_until;
    const struct operation *running;
    bool may_rotate, may_delete, notified_is_changed;
    uint32_t warned_key, expired_key;
    unsigned int warned_steps;
    int64_t look_ms;
};

static struct found find(struct engine *engine, uint32_t aap, char name[static AAP_NAME_SIZE])
{
    const struct engine_aap *notes = engine_noted(engine, aap);
    const struct upkeep_notes *upkeep = &notes->upkeep;
    registry_lock(engine->parts.registry);
    const struct registry_aap *shown = registry_aap(engine->parts.registry, aap);
    const struct found found = {
        .rotation = shown->rotation,
        .in_use_until = shown->in_use_until,
        .running = notes->running,
        .may_rotate = upkeep->rotation.number && upkeep->rotation.when != INT64_MAX,
        .may_delete = upkeep->deletion.number && upkeep->deletion.when != INT64_MAX,
        .notified_is_changed = upkeep->notified_is_changed,
        .warned_key = upkeep->warned_key,
        .expired_key = upkeep->expired_key,
        .warned_steps = upkeep->warned_steps,
        .look_ms = notes->look.when,
    };
    memcpy(name, shown->name, AAP_NAME_SIZE);
    registry_unlock(engine->parts.registry);
    return found;
}

static bool is_same_rotation(const struct registry_rotation *one, const struct registry_rotation *other)
{
    return one->next == other->next && one->state == other->state && one->first == other->first &&
           one->no_place == other->no_place;
}

/* Whether between the two looks nothing changed, and nothing is due that was not in the queue. */
static bool is_same(const struct found *before, const struct found *after)
{
    return is_same_rotation(&before->rotation, &after->rotation) && before->in_use_until == after->in_use_until &&
           before->running == after->running && before->may_rotate == after->may_rotate &&
           before->may_delete == after->may_delete && before->notified_is_changed == after->notified_is_changed &&
           before->warned_key == after->warned_key && before->expired_key == after->expired_key &&
           before->warned_steps == after->warned_steps && after->look_ms >= before->look_ms - SOON_MS;
}

/* Its end wakes AAP, and until then it may change what it likes. */
static bool is_any_under_way(const struct engine *engine, uint32_t aap)
{
    const struct engine_aap *notes = engine_noted(engine, aap);
    return notes->running || notes->upkeep.deleting || client_keys_is_of(engine, aap);
}

static void compare(struct engine *engine, struct net *net, uint32_t aap, void (*look)(struct engine *engine, uint32_t aap))
{
    char name[AAP_NAME_SIZE];
    const struct found before = find(engine, aap, name);
    if (before.look_ms <= clock_boottime_ms() + SOON_MS || is_any_under_way(engine, aap))
        return;
    look(engine, aap);
    const struct found after = find(engine, aap, name);
    if (net->told || is_same(&before, &after))
        return;
    net->told = true;
    log_warning("%s: something changed or came due that was not awaited; it is seen to, but that is a fault of aapfs: "
                "please report it", name);
}

int64_t net_tend(struct engine *engine, struct net *net, void (*look)(struct engine *engine, uint32_t aap))
{
    int64_t now_ms = clock_boottime_ms();
    uint32_t count = engine_aap_count(engine), at_once = count / 20 < AT_ONCE ? AT_ONCE : count / 20;
    if (net->again_ms > now_ms)
        return net->again_ms - now_ms;
    for (uint32_t i = 0; i < at_once && i < count; i++) {
        net->last = net->last < count ? net->last + 1 : 1;
        if (engine_has_aap(engine, net->last) && engine_noted(engine, net->last))
            compare(engine, net, net->last, look);
    }
    int64_t wait_ms = count > at_once ? (int64_t)ROUND_MS * at_once / count : ROUND_MS;
    net->again_ms = now_ms + wait_ms;
    return wait_ms;
}
