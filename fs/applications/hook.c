#include "fs/applications/hook.h"

#include <stdio.h>
#include <string.h>

#include "fs/applications/notified.h"
#include "fs/base/log.h"
#include "fs/engine/engine.h"

/* The newest generation that readers see and that was not dealt with; 0: none. */
static uint32_t due(struct numbers *numbers, const struct numbered_aap *aap)
{
    const struct numbered_generation *shown = numbers_generation(numbers, aap->settled_generation);
    const struct numbered_generation *before = numbers_generation(numbers, aap->hook_generation);
    if (!shown || aap->hook_generation >= aap->settled_generation)
        return 0;
    if (!before)
        return aap->hook_owed ? aap->settled_generation : 0; /* else it is the first key */
    /* or the same one shown anew by another worker */
    return before->key != shown->key ? aap->settled_generation : 0;
}

/* With the registry's lock; true: *REQUEST is to be run for *GENERATION. */
static bool make_request(struct engine *engine, uint32_t number, uint32_t *generation, struct run_request *request)
{
    struct numbers *numbers = registry_numbers(engine->parts.registry);
    struct numbered_aap *aap = numbers_aap(numbers, number);
    if (!aap)
        return false;
    *generation = due(numbers, aap);
    const struct config_aap *config =
        *generation ? config_for_aap(engine->parts.config, aap->name) : NULL;
    if (!config || !config_has_command(config)) {
        aap->hook_owed = false;
        if (aap->hook_generation < aap->settled_generation)
            aap->hook_generation = aap->settled_generation;
        return false;
    }
    const struct numbered_generation *shown = numbers_generation(numbers, *generation);
    /* names, ids and the configuration stay where they are */
    *request = (struct run_request){
        .aap = number,
        .command = config->on_rotate,
        .aap_name = aap->name,
        .client_key_id = numbers_key(numbers, shown->key)->client_key_id,
        .uid = config->on_rotate_user,
        .timeout_ms = config->on_rotate_timeout_ms,
        .user = engine,
    };
    return true;
}

static void describe(const struct run_result *result, struct registry_hook *hook)
{
    hook->ok = result->ending == RUN_EXITED && result->number == 0;
    switch (result->ending) {
    case RUN_EXITED:
        snprintf(hook->text, sizeof(hook->text), hook->ok ? "ok" : "status %d", result->number);
        break;
    case RUN_KILLED:
        snprintf(hook->text, sizeof(hook->text), "signal %d", result->number);
        break;
    case RUN_TIMED_OUT:
        snprintf(hook->text, sizeof(hook->text), "timed out");
        break;
    case RUN_NOT_STARTED:
        snprintf(hook->text, sizeof(hook->text), "not started: %s", strerror(result->number));
        break;
    }
}

static void ended(void *user, uint32_t number, const struct run_result *result)
{
    struct engine *engine = user;
    struct engine_aap *notes = engine_aap(engine, number);
    struct registry_hook hook = {.time = engine_now(engine)};
    char name[AAP_NAME_SIZE], id[CLIENT_KEY_ID_SIZE];
    describe(result, &hook);

    registry_lock(engine->parts.registry);
    struct numbered_aap *aap = numbers_aap(registry_numbers(engine->parts.registry), number);
    struct registry_aap *shown = registry_aap(engine->parts.registry, number);
    memcpy(name, aap->name, sizeof(name));
    aap->hook_generation = notes->hook_generation;
    aap->hook_owed = false;
    const struct numbered_generation *generation =
        numbers_generation(registry_numbers(engine->parts.registry), notes->hook_generation);
    memcpy(id, numbers_key(registry_numbers(engine->parts.registry), generation->key)->client_key_id, sizeof(id));
    if (shown)
        shown->last_hook = hook;
    registry_unlock(engine->parts.registry);

    notes->hook_generation = 0;
    if (shown && hook.ok)
        notified_set(engine, number, id);
    else if (shown)
        notified_changed(engine, number);
    if (!hook.ok)
        log_error("%s: on_rotate: %s", name, hook.text);
    hook_tend(engine, number);
}

void hook_tend(struct engine *engine, uint32_t aap)
{
    struct engine_aap *notes = engine_aap(engine, aap);
    struct run_request request;
    uint32_t generation;
    if (!notes || notes->hook_generation || engine->draining || !engine_is_caught_up(engine, aap))
        return;
    registry_lock(engine->parts.registry);
    bool runs = make_request(engine, aap, &generation, &request);
    registry_unlock(engine->parts.registry);
    if (!runs)
        return;
    notes->hook_generation = generation;
    request.done = ended;
    engine->parts.run(engine->parts.run_user, &request);
}

void hook_tend_all(struct engine *engine)
{
    uint32_t count = engine_aap_count(engine);
    for (uint32_t aap = 1; aap <= count; aap++)
        hook_tend(engine, aap);
}
