/*
 * One creation, from the password to the publication.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "kmsapi/iso_time.h"
#include "fs/keys/operation.h"
#include "fs/keys/validity.h"

static const char name[] = "CreateClientKey";

static void published(void *user, int result)
{
    struct operation *operation = user;
    if (result < 0) {
        operation_refuse(operation, name, -result, "Publication",
                         "the key was made and is in keys/, but the mount's publisher does not "
                         "answer");
        return;
    }
    operation_succeed(operation, name);
}

/* keys/<id> is there: now the names may lead to it. */
static void key_shown(void *user, int result)
{
    struct operation *operation = user;
    struct engine *engine = operation->engine;
    if (result < 0) {
        published(user, result);
        return;
    }
    const struct publish_request request = {PUBLISH_GENERATION, operation->generation, published,
                                            operation};
    engine->parts.publish(engine->parts.publish_user, &request);
}

/* Puts the key into the registry as the current one. 0 or negative errno. */
static int keep(struct operation *operation, const struct kms_answer *answer,
                const struct kms_client_key *key, struct client_key *forms)
{
    struct registry *registry = operation->engine->parts.registry;
    struct registry_new_key new_key = {
        .client_key_id = key->client_key_id,
        .key_algorithm = key->key_algorithm,
        .not_before = key->not_before,
        .not_after = key->not_after,
        .now_ns = clock_local_ns(),
        .forms = forms,
    };
    if (iso_time_parse(key->not_before, strlen(key->not_before), &new_key.not_before_time) < 0 ||
        iso_time_parse(key->not_after, strlen(key->not_after), &new_key.not_after_time) < 0)
        return -EKEYREJECTED;

    int r = -ENOMEM;
    registry_lock(registry);
    struct registry_aap *aap = registry_aap(registry, operation->aap);
    struct registry_key *added = registry_add_key(registry, aap, &new_key);
    if (added) {
        operation->key = added->number;
        operation->generation = registry_make_current(registry, aap, added, new_key.now_ns);
        snprintf(aap->request_id, sizeof(aap->request_id), "%s",
                 answer->request_id ? answer->request_id : "");
        r = operation->generation ? 0 : -ENOSPC;
    }
    registry_unlock(registry);
    return r;
}

static void reject(struct operation *operation, const struct kms_client_key *key,
                   const char *reason)
{
    struct registry *registry = operation->engine->parts.registry;
    registry_lock(registry);
    registry_add_rejected(registry_aap(registry, operation->aap), key->client_key_id);
    registry_unlock(registry);
    operation_refuse(operation, name, EKEYREJECTED, "KeyRejected", "%s", reason);
}

static void created(void *user, const struct kms_answer *answer, const struct kms_client_key *key)
{
    struct operation *operation = user;
    struct engine *engine = operation->engine;
    struct client_key forms = {0};
    char reason[256];

    engine_observe(engine, answer);
    if (answer->error.number != 0) {
        operation_fail(operation, name, &answer->error);
        return;
    }
    struct engine_aap *notes = engine_aap(engine, operation->aap);
    notes->created_ms = clock_monotonic_ms();
    notes->creator = operation->pid;

    int r = client_key_open(engine->parts.library, key->client_key_id, key->private_key_data,
                            operation->command.password, &forms, reason, sizeof(reason));
    if (r == -EKEYREJECTED) {
        reject(operation, key, reason);
        return;
    }
    if (r == 0)
        r = keep(operation, answer, key, &forms);
    client_key_clear(&forms);
    if (r == -EKEYREJECTED) {
        reject(operation, key, "NotBefore or NotAfter is not of the form yyyy-MM-ddTHH:mm:ssZ");
        return;
    }
    if (r < 0) {
        operation_refuse(operation, name, -r, "Memory",
                         "the key %s was made but cannot be kept", key->client_key_id);
        return;
    }
    const struct publish_request request = {PUBLISH_KEY, operation->key, key_shown, operation};
    engine->parts.publish(engine->parts.publish_user, &request);
}

static unsigned int unexpired_keys(const struct registry_aap *aap, int64_t now)
{
    unsigned int count = 0;
    for (const struct registry_key *key = aap->keys; key; key = key->next)
        count += !key->deleted && key->not_after_time > now;
    return count;
}

static bool guard(struct operation *operation)
{
    struct engine *engine = operation->engine;
    const struct engine_aap *notes = engine_aap(engine, operation->aap);
    int64_t since_ms = clock_monotonic_ms() - notes->created_ms;
    if (notes->created_ms && notes->creator != operation->pid &&
        since_ms < engine->parts.config->creation_guard_ms) {
        operation_refuse(operation, name, EBUSY, "CreationGuard",
                         "another process made a key of this AAP %lld ms ago; look at status, and "
                         "write again if another one is wanted",
                         (long long)since_ms);
        return false;
    }
    return true;
}

static void choose_dates(struct operation *operation, const struct config_aap *config)
{
    const struct control_command *command = &operation->command;
    if (command->has_dates) {
        memcpy(operation->not_before, command->not_before, sizeof(operation->not_before));
        memcpy(operation->not_after, command->not_after, sizeof(operation->not_after));
        return;
    }
    operation->not_before[0] = operation->not_after[0] = '\0';
    if (config->validity_seconds == 0)
        return;
    uint32_t random[2];
    if (RAND_bytes((unsigned char *)random, sizeof(random)) != 1)
        memset(random, 0, sizeof(random));
    const struct validity validity =
        validity_choose(engine_now(operation->engine), config->validity_seconds, random);
    iso_time_format(validity.not_before, operation->not_before);
    iso_time_format(validity.not_after, operation->not_after);
}

void rotation_begin(struct operation *operation)
{
    struct engine *engine = operation->engine;

    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    const struct config_aap *config = aap->config;
    char aap_name[AAP_NAME_SIZE];
    memcpy(aap_name, aap->name, sizeof(aap_name));
    unsigned int unexpired = unexpired_keys(aap, engine_now(engine));
    registry_unlock(engine->parts.registry);

    if (!guard(operation))
        return;
    if (unexpired >= config->max_keys) {
        operation_refuse(operation, name, EDQUOT, "MaxKeys",
                         "this AAP has %u unexpired keys, max_keys is %u; delete superseded ones",
                         unexpired, config->max_keys);
        return;
    }
    choose_dates(operation, config);
    const struct kms_create_client_key request = {
        .aap_name = aap_name,
        .password = operation->command.password,
        .not_before = operation->not_before[0] ? operation->not_before : NULL,
        .not_after = operation->not_after[0] ? operation->not_after : NULL,
    };
    if (kms_create_client_key(engine->parts.transport, &request,
                              engine->parts.config->request_timeout_ms, created, operation) < 0)
        operation_refuse(operation, name, ENOMEM, "Memory", "memory is short; nothing was sent");
}
