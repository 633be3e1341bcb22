/*
 * Which AAPs there are: from the configuration, or as KMS lists them. What is new gets a directory;
 * nothing is taken away.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/keys/operation.h"
#include "fs/keys/sections.h"

static const char name[] = "ListApplicationAccessPoints";

enum { FIRST_RETRY_MS = 1000, LAST_RETRY_MS = 60000 };

static void finish(struct engine *engine, const struct kms_error *error)
{
    struct operation *operation = engine->sync_operation;
    engine->syncing = false;
    engine->sync_operation = NULL;

    registry_lock(engine->parts.registry);
    struct registry_mount *mount = registry_mount(engine->parts.registry);
    if (!error) {
        mount->last_sync = engine_now(engine);
        if (strcmp(mount->failure.error.operation, name) == 0)
            mount->failure = (struct registry_failure){0};
    } else {
        mount->failure = (struct registry_failure){*error, engine_now(engine)};
    }
    registry_unlock(engine->parts.registry);

    engine->next_sync_ms = INT64_MAX;
    if (!error) {
        engine->sync_failures = 0;
        settle_again(engine);
        sections_tell(engine);
    } else if (!engine->synced_once) {
        int64_t wait_ms = FIRST_RETRY_MS;
        for (unsigned int i = 0; i < engine->sync_failures && wait_ms < LAST_RETRY_MS; i++)
            wait_ms *= 2;
        engine->sync_failures++;
        engine->next_sync_ms =
            clock_monotonic_ms() + (wait_ms < LAST_RETRY_MS ? wait_ms : LAST_RETRY_MS);
    }
    if (engine->sync_again)
        engine->next_sync_ms = clock_monotonic_ms();
    engine->sync_again = false;
    engine->synced_once = engine->synced_once || !error;
    if (operation && error)
        operation_fail(operation, name, error);
    else if (operation)
        operation_succeed(operation, name);
    engine->parts.first_sync_ended(engine->parts.event_user);
}

/* Shows one AAP after the other, so that a long list does not crowd the root's directory lock. */
static void show_next(void *user, int result)
{
    struct engine *engine = user;
    struct registry *registry = engine->parts.registry;

    registry_lock(registry);
    struct numbers *numbers = registry_numbers(registry);
    uint32_t count = numbers_aap_count(numbers);
    uint32_t number = result < 0 ? count + 1 : engine->next_to_show;
    while (number <= count &&
           (numbers_aap(numbers, number)->shown || !registry_aap(registry, number)))
        number++;
    registry_unlock(registry);

    if (number > count) {
        struct kms_error error = {.number = -result, .code = "Publication",
                                  .message = "the mount's publisher does not answer"};
        memcpy(error.operation, name, sizeof(name));
        finish(engine, result < 0 ? &error : NULL);
        return;
    }
    engine->next_to_show = number + 1;
    const struct publish_request request = {PUBLISH_AAP, number, show_next, engine};
    engine->parts.publish(engine->parts.publish_user, &request);
}

static void show_all(struct engine *engine)
{
    engine->next_to_show = 1;
    show_next(engine, 0);
}

static void add_aap(struct engine *engine, const char *aap_name, uint32_t *hidden)
{
    if (!config_aap_name_is_shown(aap_name) ||
        !registry_add_aap(engine->parts.registry, aap_name,
                          config_for_aap(engine->parts.config, aap_name)))
        (*hidden)++;
}

static void listed(void *user, const struct kms_answer *answer, const struct kms_aap *aaps,
                   size_t count)
{
    struct engine *engine = user;
    engine_observe(engine, answer);
    if (answer->error.number != 0) {
        finish(engine, &answer->error);
        return;
    }
    uint32_t hidden = 0;
    registry_lock(engine->parts.registry);
    for (size_t i = 0; i < count; i++)
        add_aap(engine, aaps[i].name, &hidden);
    registry_mount(engine->parts.registry)->hidden = hidden;
    registry_unlock(engine->parts.registry);
    if (count > 0)
        account_learn(engine, aaps[0].name);
    show_all(engine);
}

void sync_soon(struct engine *engine)
{
    if (engine->syncing)
        engine->sync_again = true;
    else
        engine->next_sync_ms = clock_monotonic_ms();
}

void sync_begin(struct engine *engine, struct operation *operation)
{
    const struct config *config = engine->parts.config;
    if (engine->syncing) {
        if (operation)
            operation_refuse(operation, name, EBUSY, "Busy", "a listing is under way");
        return;
    }
    engine->syncing = true;
    engine->sync_operation = operation;
    engine->next_sync_ms = INT64_MAX;
    if (config->all_aaps) {
        if (kms_list_application_access_points(engine->parts.transport,
                                               config->request_timeout_ms, listed, engine) < 0) {
            const struct kms_error error = {.number = ENOMEM, .code = "Memory",
                                            .message = "memory is short"};
            finish(engine, &error);
        }
        return;
    }
    uint32_t hidden = 0;
    registry_lock(engine->parts.registry);
    for (size_t i = 0; i < config->aap_name_count; i++)
        add_aap(engine, config->aap_names[i], &hidden);
    registry_unlock(engine->parts.registry);
    account_learn(engine, config->aap_names[0]);
    show_all(engine);
}
