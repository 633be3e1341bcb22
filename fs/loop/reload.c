#include "fs/loop/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/sync/aaps.h"
#include "fs/sync/sections.h"

/* The supervisor gives the reading up before that. */
enum { READ_MS = 15000 };

/* Superseded files that somebody may still hold: only the newest are worth a word to the kernel. */
enum { GENERATIONS_TOLD = 4096 };

enum stage { CONTROLS, GENERATIONS, KEYS, STAGES };

struct refresh {
    bool *changed; /* by the number of an AAP; 0: the mount's own control */
    uint32_t count;
    enum stage stage;
    uint32_t next; /* what is looked at next in this stage */
};

static bool attributes_differ(const struct config_aap *one, const struct config_aap *other)
{
    return one->owner != other->owner || one->group != other->group || one->mode != other->mode ||
           one->control_group != other->control_group;
}

/*
 * With the registry's lock. Begins to tell, or begins again what is being told: with room for every AAP there is.
 * NULL: memory is short.
 */
static struct refresh *begin_refresh(struct engine *engine)
{
    struct refresh *refresh = engine->refresh ? engine->refresh : calloc(1, sizeof(*refresh));
    uint32_t count = numbers_aap_count(registry_numbers(engine->parts.registry)) + 1;
    bool *grown = refresh ? realloc(refresh->changed, count * sizeof(*grown)) : NULL;
    if (!grown) {
        if (refresh != engine->refresh)
            free(refresh);
        return NULL;
    }
    memset(grown + refresh->count, false, (count - refresh->count) * sizeof(*grown));
    *refresh = (struct refresh){.changed = grown, .count = count};
    engine->refresh = refresh;
    return refresh;
}

void reload_free(struct engine *engine)
{
    if (engine->refresh)
        free(engine->refresh->changed);
    free(engine->refresh);
    engine->refresh = NULL;
}

/* The write that asked; NULL: none waits. There is one command at a time. */
static struct operation *asking(const struct engine *engine)
{
    struct operation *operation = engine->operations;
    while (operation && (operation->stage == OPERATION_ENDED || operation->command.verb != CONTROL_RELOAD))
        operation = operation->next;
    return operation;
}

/* Whether the kernel may know files of GENERATION under the attributes of before. */
static bool is_held(struct numbers *numbers, uint32_t generation)
{
    const struct numbered_aap *aap = numbers_aap(numbers, numbers_generation(numbers, generation)->aap);
    if (generation + GENERATIONS_TOLD > numbers_generation_count(numbers))
        return true;
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
        if (aap->published[i] == generation)
            return true;
    return false;
}

static bool changed(const struct refresh *refresh, uint32_t aap)
{
    return aap < refresh->count && refresh->changed[aap];
}

/* With the registry's lock. The next thing whose attributes the kernel is to forget; false: that was all. */
static bool next_to_tell(struct engine *engine, struct publish_request *request)
{
    struct refresh *refresh = engine->refresh;
    struct numbers *numbers = registry_numbers(engine->parts.registry);
    const struct registry_key *key;
    for (; refresh->stage < STAGES; refresh->stage++, refresh->next = 0) {
        switch (refresh->stage) {
        case CONTROLS:
            request->kind = PUBLISH_CONTROL_ATTRIBUTES;
            for (; refresh->next < refresh->count; refresh->next++)
                if (refresh->changed[refresh->next]) {
                    request->number = refresh->next++;
                    return true;
                }
            break;
        case GENERATIONS:
            request->kind = PUBLISH_GENERATION_ATTRIBUTES;
            while (++refresh->next <= numbers_generation_count(numbers))
                if (changed(refresh, numbers_generation(numbers, refresh->next)->aap) &&
                    is_held(numbers, refresh->next)) {
                    request->number = refresh->next;
                    return true;
                }
            break;
        case KEYS:
            request->kind = PUBLISH_KEY_ATTRIBUTES;
            while (++refresh->next <= numbers_key_count(numbers)) {
                key = registry_key(engine->parts.registry, refresh->next);
                if (key && changed(refresh, numbers_key(numbers, refresh->next)->aap)) {
                    request->number = refresh->next;
                    return true;
                }
            }
            break;
        case STAGES:
            break;
        }
    }
    return false;
}

/* One after the other: a large mount's must not fill the publisher's socket. */
static void tell_next(void *user, int result)
{
    struct engine *engine = user;
    struct publish_request request = {.done = tell_next, .user = engine};
    registry_lock(engine->parts.registry);
    bool told = result == 0 && engine->refresh;
    bool more = told && next_to_tell(engine, &request);
    registry_unlock(engine->parts.registry);
    if (more) {
        engine->parts.publish(engine->parts.publish_user, &request);
        return;
    }
    engine->refreshing = false;
    reload_free(engine);
    struct operation *operation = asking(engine);
    if (operation && operation->config_is_here)
        operation_succeed(operation);
    engine->parts.reloaded(engine->parts.answer_user, told);
}

/* One chain of publications: a second one would end before the first has told everything. */
static void tell(struct engine *engine)
{
    if (engine->refreshing)
        return;
    engine->refreshing = true;
    tell_next(engine, engine->refresh ? 0 : -ENOMEM);
}

void reload_refresh_all(struct engine *engine)
{
    registry_lock(engine->parts.registry);
    const struct refresh *refresh = begin_refresh(engine);
    if (refresh)
        memset(refresh->changed, true, refresh->count * sizeof(bool));
    registry_unlock(engine->parts.registry);
    tell(engine);
}

void reload_begin(struct operation *operation)
{
    int64_t until_ms = clock_monotonic_ms() + READ_MS;
    if (operation->waiters.deadline_ms < until_ms) /* it has nothing to do with KMS */
        operation_wait_until(operation, until_ms);
    operation->engine->parts.reload(operation->engine->parts.answer_user);
}

void reload_refused(struct engine *engine, int number, const char *text)
{
    struct operation *operation = asking(engine);
    if (operation)
        operation_refuse(operation, number, "Reload", "%s", text);
}

void reload_config(struct engine *engine, const struct config *config, bool asked)
{
    struct registry *registry = engine->parts.registry;
    struct operation *operation = asked ? asking(engine) : NULL;
    if (operation)
        operation->config_is_here = true;
    registry_lock(registry);
    const struct refresh *refresh = begin_refresh(engine);
    bool switched = engine->parts.config->control != config->control;
    if (refresh && switched)
        refresh->changed[0] = true;
    for (struct registry_aap *aap = registry_first_aap(registry); aap; aap = aap->next) {
        const struct config_aap *values = config_for_aap(config, aap->name);
        if (refresh && (switched || attributes_differ(aap->config, values)))
            refresh->changed[aap->number] = true;
        aap->config = values;
    }
    engine->parts.config = config;
    registry_mount(registry)->control_is_off = !config->control;
    registry_unlock(registry);
    sections_tell_again(engine);
    engine_wake_all(engine);
    sync_soon(engine);
    tell(engine);
}
