/*
 * Deleting a client key that is no longer the current one: in KMS first, then here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/keys/operation.h"

static const char name[] = "DeleteClientKey";

static void removed(void *user, int result)
{
    struct operation *operation = user;
    struct registry *registry = operation->engine->parts.registry;

    registry_lock(registry);
    struct registry_key *key = registry_key(registry, operation->key);
    if (key)
        registry_remove_key(registry, registry_aap(registry, operation->aap), key);
    registry_unlock(registry);
    operation_succeed(operation, name);
}

static void remove_rejected(struct registry_aap *aap, const char *client_key_id)
{
    for (struct registry_rejected **link = &aap->rejected; *link; link = &(*link)->next) {
        struct registry_rejected *rejected = *link;
        if (strcmp(rejected->client_key_id, client_key_id) != 0)
            continue;
        *link = rejected->next;
        free(rejected);
        return;
    }
}

static void deleted(void *user, const struct kms_answer *answer)
{
    struct operation *operation = user;
    struct engine *engine = operation->engine;
    struct registry *registry = engine->parts.registry;

    engine_observe(engine, answer);
    /* what KMS does not know is gone already */
    if (answer->error.number != 0 && answer->error.number != ENOENT) {
        operation_fail(operation, name, &answer->error);
        return;
    }
    registry_lock(registry);
    struct registry_key *key = registry_key(registry, operation->key);
    if (key)
        key->deleted = true;
    else
        remove_rejected(registry_aap(registry, operation->aap),
                        operation->command.client_key_id);
    registry_unlock(registry);
    if (!key) {
        operation_succeed(operation, name);
        return;
    }
    const struct publish_request request = {PUBLISH_REMOVE_KEY, operation->key, removed, operation};
    engine->parts.publish(engine->parts.publish_user, &request);
}

static bool is_rejected(const struct registry_aap *aap, const char *client_key_id)
{
    for (const struct registry_rejected *rejected = aap->rejected; rejected;
         rejected = rejected->next)
        if (strcmp(rejected->client_key_id, client_key_id) == 0)
            return true;
    return false;
}

void retire_begin(struct operation *operation)
{
    struct engine *engine = operation->engine;
    const char *client_key_id = operation->command.client_key_id;

    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    const struct registry_key *key = registry_find_key(aap, client_key_id);
    bool rejected = is_rejected(aap, client_key_id);
    bool is_current = key && key == aap->current;
    operation->key = key ? key->number : 0;
    registry_unlock(engine->parts.registry);

    if (!key && !rejected) {
        operation_refuse(operation, name, ENOENT, "UnknownKey",
                         "no client key of that id is known here; look into keys/ and status");
        return;
    }
    if (is_current) {
        operation_refuse(operation, name, EBUSY, "CurrentKey",
                         "the current key is not deleted; make a new one first");
        return;
    }
    if (kms_delete_client_key(engine->parts.transport, client_key_id,
                              engine->parts.config->request_timeout_ms, deleted, operation) < 0)
        operation_refuse(operation, name, ENOMEM, "Memory", "memory is short");
}
