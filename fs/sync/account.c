#include "fs/sync/account.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/model/arn.h"
#include "fs/sync/ram_role.h"
#include "kmsapi/cleanup.h"

/* The method alone is worth no more. */
enum { METHOD_MS_MOST = 3000 };

static const char name[] = "DescribeApplicationAccessPoint";

/* What KMS has told of whose the credentials are. */
enum account_state {
    ACCOUNT_UNKNOWN,      /* nothing, or nonsense: nothing is sent that another account's KMS would answer as well; a creation asks */
    ACCOUNT_ASSUMED,      /* it forbids to ask, so the store's: all is sent, and each creation and each sync asks again */
    ACCOUNT_KNOWN,        /* the store's: all is sent, and nobody asks any more */
    ACCOUNT_OTHER,        /* not the store's: nothing is sent, and a sync asks again */
    ACCOUNT_OTHER_REGION, /* nothing, but that the endpoint is another region's: as with another account's */
};

struct account {
    enum account_state state;
    char name[ACCOUNT_SIZE]; /* the store's; "": there is none yet */
    struct kms_error error;  /* of the answer by which nothing is sent */
    void (*told)(struct engine *engine, const struct kms_error *error); /* not NULL: KMS is being asked */
};

bool account_may_send(const struct engine *engine)
{
    return engine->account->state == ACCOUNT_KNOWN || engine->account->state == ACCOUNT_ASSUMED;
}

bool account_is_known(const struct engine *engine)
{
    return engine->account->state == ACCOUNT_KNOWN;
}

bool account_is_assumed(const struct engine *engine)
{
    return engine->account->state == ACCOUNT_ASSUMED;
}

bool account_is_other(const struct engine *engine)
{
    return engine->account->state == ACCOUNT_OTHER || engine->account->state == ACCOUNT_OTHER_REGION;
}

const struct kms_error *account_error(const struct engine *engine)
{
    return &engine->account->error;
}

const char *account_name(const struct engine *engine)
{
    return engine->account->name;
}

/* Where keys were kept before, their store is there. */
int account_start(struct engine *engine)
{
    const struct engine_parts *parts = &engine->parts;
    struct account *account = engine->account = calloc(1, sizeof(*account));
    char reason[2 * STATE_PATH_SIZE + 256] = "memory is short";
    int r = account ? state_find_account(parts->state, parts->config->region, account->name, reason, sizeof(reason)) : -ENOMEM;
    if (r == 0 && account->name[0])
        r = state_open_store(parts->state, parts->config->region, account->name, &engine->store, reason, sizeof(reason));
    if (r < 0)
        log_error("state: %s", reason);
    else
        memcpy(registry_mount(parts->registry)->account, account->name, sizeof(account->name));
    return r;
}

void account_end(struct engine *engine)
{
    store_close(engine->store);
    free(engine->account);
}

static void note_in_mount(struct engine *engine, const struct kms_error *error)
{
    registry_lock(engine->parts.registry);
    struct registry_mount *mount = registry_mount(engine->parts.registry);
    snprintf(mount->account, sizeof(mount->account), "%s", engine->account->name);
    if (error->number)
        failure_set(&mount->failure, FAILURE_DESCRIPTION, error, engine_now(engine));
    else
        failure_clear(&mount->failure, FAILURE_DESCRIPTION);
    registry_unlock(engine->parts.registry);
}

/* -- what an answer says ------------------------------------------------------------------- */

/* Describe is forbidden. ERROR's number is 0 when the store says whose it is. */
static void take_refusal(struct engine *engine, struct kms_error *error)
{
    struct account *account = engine->account;
    if (!engine->store) {
        size_t length = strlen(error->message);
        snprintf(error->message + length, sizeof(error->message) - length,
                 " An AAP's Arn tells the account, and no key is made before that is known: permit "
                 "kms:DescribeApplicationAccessPoint for one AAP");
        return;
    }
    if (account->state != ACCOUNT_ASSUMED)
        log_warning("DescribeApplicationAccessPoint is not permitted (%s), so KMS does not tell whose the credentials are; "
                    "they are taken to be of the account %s, which the state directory names", error->code, account->name);
    account->state = ACCOUNT_ASSUMED;
    note_in_mount(engine, error);
    *error = (struct kms_error){0};
}

/* The endpoint is the configuration's region's, and the credentials are OWNER's. */
static struct kms_error compare(struct engine *engine, const char owner[static ACCOUNT_SIZE])
{
    struct account *account = engine->account;
    char reason[512];
    bool was_known = account_is_known(engine);
    account->state = ACCOUNT_UNKNOWN;
    if (!engine->store) { /* the account's first */
        int r = state_open_store(engine->parts.state, engine->parts.config->region, owner, &engine->store, reason,
                                 sizeof(reason));
        if (r < 0)
            return kms_error_make(name, -r, "State", "%s", reason);
        memcpy(account->name, owner, sizeof(account->name));
    }
    if (strcmp(owner, account->name) == 0) {
        account->state = ACCOUNT_KNOWN;
        if (!was_known)
            engine_wake_all(engine); /* first keys wait for it */
        return (struct kms_error){0};
    }
    account->state = ACCOUNT_OTHER;
    account->error = kms_error_make(name, EACCES, "OtherAccount",
                                    "the credentials are of the account %s, the keys in the state directory of %s; give this "
                                    "mount a state of its own, or the right credentials", owner, account->name);
    return account->error;
}

/* What a good answer says. */
static struct kms_error take_arn(struct engine *engine, const char *arn)
{
    struct account *account = engine->account;
    const char *configured = engine->parts.config->region;
    char owner[ACCOUNT_SIZE], region[ARN_REGION_SIZE];
    if (arn_account(arn, owner) < 0 || arn_region(arn, region) < 0) {
        const struct kms_error error =
            kms_error_make(name, EIO, "Answer.Malformed", "KMS's answer: the AAP's Arn names no account");
        if (!account_is_other(engine)) {
            account->state = ACCOUNT_UNKNOWN;
            account->error = error;
        }
        return error;
    }
    if (strcmp(region, configured) == 0)
        return compare(engine, owner);
    account->state = ACCOUNT_OTHER_REGION;
    account->error = kms_error_make(name, EACCES, "OtherRegion",
                                    "the endpoint is the region %s's, the configuration names %s; give the region that the "
                                    "endpoint has, or the right endpoint", region, configured);
    return account->error;
}

/* ERROR's number is 0 when the account is known, or assumed, and the store's. */
static void take_answer(struct engine *engine, const struct kms_answer *answer, const struct kms_aap *aap,
                        struct kms_error *error)
{
    engine_observe(engine, answer);
    *error = answer->error;
    if (error->number && account_is_known(engine)) /* the method alone is missing: what is asked next tells as well */
        *error = (struct kms_error){0};
    else if (kms_error_is_forbidden(error->code, error->http_status) && !account_is_other(engine))
        take_refusal(engine, error);
    if (answer->error.number)
        return;
    *error = take_arn(engine, aap->arn);
    note_in_mount(engine, error);
    /* no listing comes before the account is ours */
    for (struct operation *operation = engine->operations; operation && !account_may_send(engine); operation = operation->next)
        if (operation->stage == OPERATION_WAITS_FOR_LISTING)
            operation_fail(operation, error);
}

/* -- by a creation ------------------------------------------------------------------------- */

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
    struct kms_error error;
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
    if (account_is_known(engine) && timeout_ms > METHOD_MS_MOST)
        timeout_ms = METHOD_MS_MOST;
    if (kms_describe_application_access_point(engine->parts.transport, aap_name, timeout_ms, answered, operation) == 0)
        return;
    const struct kms_error error = kms_error_make(name, ENOMEM, "Memory", "memory is short; nothing was sent");
    operation_fail(operation, &error);
}

void account_require(struct operation *operation, void (*then)(struct operation *operation))
{
    struct engine *engine = operation->engine;
    operation->then = then;
    if (account_is_known(engine) && is_method_asked(operation))
        then(operation);
    else if (account_is_other(engine))
        operation_fail(operation, account_error(engine));
    else if (engine->account->told)
        operation_enter(operation, OPERATION_WAITS_FOR_ACCOUNT);
    else
        ask(operation);
}

bool account_holds(struct operation *operation)
{
    bool holds = account_may_send(operation->engine);
    if (!holds)
        operation_fail(operation, account_error(operation->engine));
    return holds;
}

/* -- after a listing ----------------------------------------------------------------------- */

static void learnt(void *user, const struct kms_answer *answer, const struct kms_aap *aap)
{
    struct engine *engine = user;
    struct kms_error error;
    void (*told)(struct engine *, const struct kms_error *) = steal_pointer(&engine->account->told);
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
        account_require(operation, operation->then); /* after an error by its own AAP, which may be one that is answered for */
    }
    told(engine, &error);
}

bool account_learn(struct engine *engine, const char *aap_name, void (*told)(struct engine *, const struct kms_error *))
{
    struct account *account = engine->account;
    if (account->told)
        return true;
    account->told = told;
    if (kms_describe_application_access_point(engine->parts.transport, aap_name,
                                              engine->parts.config->request_timeout_ms, learnt, engine) < 0)
        account->told = NULL;
    return account->told;
}
