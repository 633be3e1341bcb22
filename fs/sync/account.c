#include "fs/sync/account.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/sync/ram_role.h"

/* The method alone is worth no more. */
enum { METHOD_MS_MOST = 3000 };

static const char name[] = "DescribeApplicationAccessPoint";

static void refuse(struct kms_error *error, int number, const char *code, const char *message)
{
    *error = (struct kms_error){.number = number};
    snprintf(error->operation, sizeof(error->operation), "%s", name);
    snprintf(error->code, sizeof(error->code), "%s", code);
    snprintf(error->message, sizeof(error->message), "%s", message);
}

void account_refuse(const struct engine *engine, struct kms_error *error)
{
    char message[400];
    if (engine->other_region[0]) {
        snprintf(message, sizeof(message),
                 "the endpoint is the region %s's, the configuration names %s; give the region that the endpoint has, "
                 "or the right endpoint", engine->other_region, engine->parts.config->region);
        refuse(error, EACCES, "OtherRegion", message);
        return;
    }
    snprintf(message, sizeof(message),
             "the credentials are of the account %s, the keys in the state directory of %s; give this mount a "
             "state of its own, or the right credentials", engine->other_account, engine->account);
    refuse(error, EACCES, "OtherAccount", message);
}

bool account_is_other(const struct engine *engine)
{
    return engine->other_account[0] || engine->other_region[0];
}

static void note_in_mount(struct engine *engine, const struct kms_error *error)
{
    registry_lock(engine->parts.registry);
    struct registry_mount *mount = registry_mount(engine->parts.registry);
    snprintf(mount->account, sizeof(mount->account), "%s", engine->account);
    if (error->number)
        mount->failure = (struct registry_failure){*error, engine_now(engine)};
    else if (strcmp(mount->failure.error.operation, name) == 0)
        mount->failure = (struct registry_failure){0};
    registry_unlock(engine->parts.registry);
}

/* The account's first store. */
static void open_store(struct engine *engine, const char *account, struct kms_error *error)
{
    char reason[512];
    int r = state_open_store(engine->parts.state, engine->parts.config->region, account,
                             &engine->store, reason, sizeof(reason));
    if (r < 0)
        refuse(error, -r, "State", reason);
    else
        memcpy(engine->account, account, sizeof(engine->account));
}

/* Describe is forbidden. ERROR's number is 0 when the store says whose it is. */
static void take_refusal(struct engine *engine, struct kms_error *error)
{
    if (!engine->store) {
        size_t length = strlen(error->message);
        snprintf(error->message + length, sizeof(error->message) - length,
                 " An AAP's Arn tells the account, and no key is made before that is known: permit "
                 "kms:DescribeApplicationAccessPoint for one AAP");
        return;
    }
    if (!engine->account_is_assumed)
        log_error("DescribeApplicationAccessPoint is not permitted (%s), so KMS does not tell whose the credentials are; "
                  "they are taken to be of the account %s, which the state directory names", error->code, engine->account);
    engine->account_is_known = engine->account_is_assumed = true;
    engine->upkeep_ms = 0;
    note_in_mount(engine, error);
    *error = (struct kms_error){0};
}

/* What an answer says about the account. ERROR's number is 0 when it is known and the store's. */
static void take_answer(struct engine *engine, const struct kms_answer *answer,
                        const struct kms_aap *aap, struct kms_error *error)
{
    char account[ACCOUNT_SIZE], region[ARN_REGION_SIZE];
    engine_observe(engine, answer);
    *error = answer->error;
    if (kms_error_is_forbidden(error->code, error->http_status) && !account_is_other(engine))
        take_refusal(engine, error);
    if (answer->error.number)
        return;
    engine->account_is_known = engine->account_is_assumed = false; /* until this answer says so */
    if (arn_account(aap->arn, account) < 0 || arn_region(aap->arn, region) < 0) {
        refuse(error, EIO, "Answer.Malformed", "KMS's answer: the AAP's Arn names no account");
    } else if (strcmp(region, engine->parts.config->region) != 0) {
        memcpy(engine->other_region, region, sizeof(region));
        account_refuse(engine, error);
    } else {
        engine->other_region[0] = '\0';
        if (!engine->store)
            open_store(engine, account, error);
        engine->upkeep_ms = 0; /* what waited for this may go out */
        engine->account_is_known = error->number == 0 && strcmp(account, engine->account) == 0;
        if (error->number == 0 && !engine->account_is_known) {
            memcpy(engine->other_account, account, sizeof(account));
            account_refuse(engine, error);
        } else {
            engine->other_account[0] = '\0';
        }
    }
    note_in_mount(engine, error);
}

/* -- by a creation ------------------------------------------------------------------------- */

static bool is_sure(const struct engine *engine)
{
    return engine->account_is_known && !engine->account_is_assumed;
}

/* Whether it was told, or cannot be, if the AAP has client keys. */
static bool is_method_asked(const struct operation *operation)
{
    struct registry *registry = operation->engine->parts.registry;
    registry_lock(registry);
    const struct registry_aap *aap = registry_aap(registry, operation->aap);
    bool asked = !aap || aap->method_asked;
    registry_unlock(registry);
    return asked;
}

static void answered(void *user, const struct kms_answer *answer, const struct kms_aap *aap)
{
    struct operation *operation = user;
    struct engine *engine = operation->engine;
    struct registry *registry = engine->parts.registry;
    struct kms_error error = {0};
    if (answer->error.number && is_sure(engine)) /* the method alone was asked for: what is asked next tells as well */
        engine_observe(engine, answer);
    else
        take_answer(engine, answer, aap, &error);
    registry_lock(registry);
    struct registry_aap *its = registry_aap(registry, operation->aap);
    ram_role_note(its, aap ? aap->authentication_method : "");
    if (its)
        its->method_asked = true;
    registry_unlock(registry);
    if (error.number)
        operation_fail(operation, &error);
    else
        operation->then(operation);
}

static void ask(struct operation *operation)
{
    struct engine *engine = operation->engine;
    char aap_name[AAP_NAME_SIZE];
    operation_aap_name(operation, aap_name);
    unsigned int timeout_ms = operation_time_left(operation);
    if (is_sure(engine) && timeout_ms > METHOD_MS_MOST)
        timeout_ms = METHOD_MS_MOST;
    if (kms_describe_application_access_point(engine->parts.transport, aap_name, timeout_ms, answered, operation) == 0)
        return;
    struct kms_error error;
    refuse(&error, ENOMEM, "Memory", "memory is short; nothing was sent");
    operation_fail(operation, &error);
}

void account_require(struct operation *operation, void (*then)(struct operation *operation))
{
    struct engine *engine = operation->engine;
    struct kms_error error;
    operation->then = then;
    if (is_sure(engine) && is_method_asked(operation)) {
        then(operation);
    } else if (account_is_other(engine)) {
        account_refuse(engine, &error);
        operation_fail(operation, &error);
    } else if (engine->account_told) {
        operation_enter(operation, OPERATION_WAITS_FOR_ACCOUNT);
    } else {
        ask(operation);
    }
}

/* -- after a listing ----------------------------------------------------------------------- */

static void learnt(void *user, const struct kms_answer *answer, const struct kms_aap *aap)
{
    struct engine *engine = user;
    struct kms_error error;
    void (*told)(struct engine *, const struct kms_error *) = engine->account_told;
    engine->account_told = NULL;
    take_answer(engine, answer, aap, &error);
    registry_lock(engine->parts.registry);
    if (aap)
        ram_role_note(registry_find_aap(engine->parts.registry, aap->name), aap->authentication_method);
    registry_unlock(engine->parts.registry);
    if (answer->error.number && error.number)
        note_in_mount(engine, &error);
    for (struct operation *operation = engine->operations; operation; operation = operation->next) {
        if (operation->stage != OPERATION_WAITS_FOR_ACCOUNT)
            continue;
        operation_enter(operation, OPERATION_UNDER_WAY);
        if (error.number && !account_is_other(engine))
            ask(operation); /* this AAP may be one that may be described */
        else
            account_require(operation, operation->then);
    }
    told(engine, &error);
}

bool account_learn(struct engine *engine, const char *aap_name, void (*told)(struct engine *, const struct kms_error *))
{
    if (engine->account_told)
        return true;
    engine->account_told = told;
    if (kms_describe_application_access_point(engine->parts.transport, aap_name,
                                              engine->parts.config->request_timeout_ms, learnt, engine) < 0)
        engine->account_told = NULL;
    return engine->account_told;
}
