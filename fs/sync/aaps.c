#include "fs/sync/aaps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "fs/applications/notified.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/sync/account.h"
#include "fs/sync/client_keys.h"
#include "fs/sync/leave.h"
#include "fs/sync/ram_role.h"
#include "fs/sync/sections.h"
#include "kmsapi/base/backoff.h"

enum { FIRST_RETRY_MS = 1000, LAST_RETRY_MS = 60000, LOOK_MS = 60000 };

/* -- the names that were listed ------------------------------------------------------------ */

struct sync_names {
    size_t count;
    struct sync_name {
        char name[AAP_NAME_SIZE];
        char method[16]; /* AuthenticationMethod; "": not told */
    } *names; /* sorted */
    char first[AAP_NAME_SIZE];    /* as it was told */
    uint32_t hidden;              /* not shown, and not among these */
};

/* A name stands in front of what else was told. */
static int compare_names(const void *left, const void *right)
{
    return strcmp(left, right);
}

struct sync {
    struct operation *operation; /* the control write that asked for it, or NULL */
    bool listing; /* the AAPs are being listed */
    bool again;   /* once more after that: it was asked for meanwhile */
    bool waits_for_account, walk_failed;
    bool uncounted; /* what was listed came without its total */
    bool owed;      /* complete once KMS has answered for each AAP: there is no list of them */
    struct kms_error account_error; /* with which the account was asked for; number 0: it was told */
    struct sync_names *names;       /* what was listed */
    int64_t next_ms;                /* CLOCK_BOOTTIME; INT64_MAX: none */
    unsigned int failures;
    uint32_t next_to_show, next_to_leave; /* AAP numbers: those before had their turn */
};

static void free_names(struct engine *engine)
{
    if (engine->sync->names)
        free(engine->sync->names->names);
    free(engine->sync->names);
    engine->sync->names = NULL;
}

static struct sync_names *new_names(struct engine *engine, size_t room)
{
    free_names(engine);
    struct sync_names *names = engine->sync->names = calloc(1, sizeof(*names));
    if (names)
        names->names = calloc(room + 1, sizeof(*names->names));
    return names && names->names ? names : NULL;
}

static void add_name(struct sync_names *names, const char *aap_name, const char *method)
{
    if (!config_aap_name_is_shown(aap_name)) {
        names->hidden++;
        return;
    }
    if (names->count == 0)
        strcpy(names->first, aap_name); /* shown names are shorter */
    struct sync_name *added = &names->names[names->count++];
    strcpy(added->name, aap_name);
    snprintf(added->method, sizeof(added->method), "%s", method);
}

static bool is_named(const struct sync_names *names, const char *aap_name)
{
    return names->count > 0 && bsearch(aap_name, names->names, names->count, sizeof(*names->names), compare_names);
}

/* -- when ---------------------------------------------------------------------------------- */

/* A tenth earlier or later, so that many mounts do not ask at once. */
static int64_t interval_ms(const struct engine *engine)
{
    int64_t interval_ms = engine->parts.config->sync_interval_ms;
    uint32_t random = 0;
    if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
        random = UINT32_MAX / 2;
    return interval_ms - interval_ms / 10 + (int64_t)((double)random / UINT32_MAX * (double)interval_ms / 5);
}

static int64_t retry_ms(struct engine *engine)
{
    int64_t interval_ms = engine->parts.config->sync_interval_ms;
    return backoff_ms(FIRST_RETRY_MS, interval_ms < LAST_RETRY_MS ? interval_ms : LAST_RETRY_MS, engine->sync->failures++);
}

int64_t sync_tend(struct engine *engine)
{
    struct operation *operation = engine->sync->operation;
    if (operation && operation_is_late(operation)) { /* its time is up; the listings go on without it */
        engine->sync->operation = NULL;
        operation_refuse(operation, ETIMEDOUT, "Network.Timeout",
                         "KMS took too long to list everything; it goes on in the background");
    }
    int64_t now_ms = clock_boottime_ms();
    /* one that is complete with its walk is not begun anew before that has ended */
    bool walks = engine->sync->owed && client_keys_are_walking(engine) && !engine->sync->listing && account_may_send(engine);
    if (!engine->draining && now_ms >= engine->sync->next_ms && !walks)
        sync_begin(engine, NULL);
    if (engine->sync->next_ms == INT64_MAX || engine->draining)
        return INT64_MAX;
    /* a machine that slept wakes up to another time */
    int64_t wait_ms = engine->sync->next_ms - now_ms;
    return clock_monotonic_ms() + (wait_ms < LOOK_MS && !(walks && wait_ms <= 0) ? wait_ms : LOOK_MS);
}

/* -- the end ------------------------------------------------------------------------------- */

static void note(struct engine *engine, const struct kms_error *error, bool complete)
{
    registry_lock(engine->parts.registry);
    struct registry_mount *mount = registry_mount(engine->parts.registry);
    if (error)
        failure_set(&mount->failure, FAILURE_SYNC, error, engine_now(engine));
    else
        failure_clear(&mount->failure, FAILURE_SYNC);
    if (complete)
        mount->last_sync = engine_now(engine);
    registry_unlock(engine->parts.registry);
}

static bool is_answer(const struct kms_error *error)
{
    return kms_error_is_forbidden(error->code, error->http_status) || (error->number == ENOENT && error->http_status);
}

static void end_well(struct engine *engine)
{
    struct operation *operation = engine->sync->operation;
    engine->sync->operation = NULL;
    if (operation)
        operation_succeed(operation);
}

static void end_badly(struct engine *engine, const struct kms_error *error)
{
    struct operation *operation = engine->sync->operation;
    engine->sync->operation = NULL;
    if (operation)
        operation_fail(operation, error);
}

static void walk(struct engine *engine)
{
    engine->sync->walk_failed = false;
    engine->sync->owed = !engine->parts.config->all_aaps;
    client_keys_walk(engine);
}

/* The AAPs are known, or cannot be. */
static void finish(struct engine *engine, const struct kms_error *error)
{
    bool again = engine->sync->again;
    engine->sync->listing = engine->sync->again = false;
    free_names(engine);
    if (!error && engine->sync->account_error.number)
        error = &engine->sync->account_error;
    note(engine, error, !error && (engine->parts.config->all_aaps || !account_may_send(engine)));
    if (!error) {
        engine->sync->failures = 0;
        sections_tell(engine);
    }
    engine->sync->next_ms = clock_boottime_ms() + (error ? retry_ms(engine) : interval_ms(engine));
    engine->parts.first_sync_ended(engine->parts.event_user);
    if (again)
        sync_begin(engine, NULL);
    else if (error)
        end_badly(engine, error);
    else if (account_may_send(engine))
        walk(engine);
    else
        end_well(engine); /* no keys can be listed: another account's would say nothing about ours */
}

/* Where no listing of AAPs tells it, the mount's last_error does: a sync that is owed is of named ones. */
static void tell_unanswered(struct engine *engine, const struct kms_error *error)
{
    registry_lock(engine->parts.registry);
    struct registry_failure *failure = &registry_mount(engine->parts.registry)->failure;
    if (failure->error.number == 0)
        failure_set(failure, FAILURE_LISTING, error, engine_now(engine));
    registry_unlock(engine->parts.registry);
}

static void walk_failed(struct engine *engine, const struct kms_error *error)
{
    engine->sync->walk_failed = true;
    if (engine->sync->owed && !is_answer(error))
        tell_unanswered(engine, error);
    if (!engine->sync->listing)
        end_badly(engine, error);
}

/* What an earlier walk failed with is over; a refusal only where every request of this one went well. */
static void clear_walk_failure(struct engine *engine, bool refusals)
{
    registry_lock(engine->parts.registry);
    struct registry_failure *failure = &registry_mount(engine->parts.registry)->failure;
    if (refusals || !is_answer(&failure->error)) {
        failure_clear(failure, FAILURE_LISTING);
        failure_clear(failure, FAILURE_ONE_KEY);
        if (!account_is_assumed(engine))
            failure_clear(failure, FAILURE_DESCRIPTION);
    }
    registry_unlock(engine->parts.registry);
}

static void answered(struct engine *engine)
{
    if (!engine->sync->owed || engine->sync->listing || client_keys_are_walking(engine) || !client_keys_have_all(engine))
        return;
    engine->sync->owed = false;
    clear_walk_failure(engine, false);
    registry_lock(engine->parts.registry);
    registry_mount(engine->parts.registry)->last_sync = engine_now(engine);
    registry_unlock(engine->parts.registry);
}

static void walked(struct engine *engine)
{
    if (engine->sync->listing) /* another walk is about to begin */
        return;
    answered(engine);
    if (!engine->sync->walk_failed)
        clear_walk_failure(engine, true);
    end_well(engine);
}

static void fail(struct engine *engine, int number, const char *code, const char *message)
{
    const struct kms_error error = kms_error_make("", number, code, "%s", message);
    finish(engine, &error);
}

/* -- what comes and what goes -------------------------------------------------------------- */

static void leave_next(void *user, int result);

/* An AAP that may go, and nothing of which is under way; 0: none. */
static uint32_t next_to_leave(struct engine *engine)
{
    struct registry *registry = engine->parts.registry;
    uint32_t count = numbers_aap_count(registry_numbers(registry));
    while (engine->sync->next_to_leave < count) {
        uint32_t number = ++engine->sync->next_to_leave;
        const struct registry_aap *aap = registry_aap(registry, number);
        if (aap && engine_aap(engine, number) && leave_is_free(engine, number) && !is_named(engine->sync->names, aap->name) &&
            !leave_has_private(engine, aap) && !registry_aap_leaves(registry, number))
            return number;
    }
    return 0;
}

static void leave_next(void *user, int result)
{
    struct engine *engine = user;
    registry_lock(engine->parts.registry);
    uint32_t aap = result < 0 ? 0 : next_to_leave(engine);
    registry_unlock(engine->parts.registry);
    if (aap)
        leave_begin(engine, aap, leave_next, engine);
    else if (result < 0)
        fail(engine, -result, "Publication", "the mount's publisher does not answer");
    else
        finish(engine, NULL);
}

/* An empty listing where keys are served is rather a mistake than the truth, and one without its total may lack some: they
   take nothing away. */
static bool may_take_away(struct engine *engine)
{
    bool all_empty = engine->sync->names->count == 0 && engine->sync->names->hidden == 0, serves = false;
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_first_aap(engine->parts.registry);
    for (; aap; aap = aap->next)
        serves = serves || leave_has_private(engine, aap);
    registry_unlock(engine->parts.registry);
    return engine->parts.config->all_aaps && account_may_send(engine) && !engine->sync->uncounted && !(all_empty && serves);
}

/* Shows one AAP after the other, so that a long list does not crowd the root's directory lock. */
static void show_next(void *user, int result)
{
    struct engine *engine = user;
    struct registry *registry = engine->parts.registry;

    registry_lock(registry);
    struct numbers *numbers = registry_numbers(registry);
    uint32_t count = numbers_aap_count(numbers);
    uint32_t number = result < 0 ? count + 1 : engine->sync->next_to_show;
    while (number <= count && (!registry_aap(registry, number) ||
                               numbers_aap_directory(numbers_aap(numbers, number)) != DIRECTORY_TO_COME))
        number++;
    registry_unlock(registry);

    if (number > count) {
        if (result == 0 && may_take_away(engine))
            leave_next(engine, 0);
        else if (result == 0)
            finish(engine, NULL);
        else
            fail(engine, -result, "Publication", "the mount's publisher does not answer");
        return;
    }
    engine->sync->next_to_show = number + 1;
    engine_publish(engine, PUBLISH_AAP, number, show_next, engine);
}

/* Of those that were not listed KMS is asked whether it has them; without a list, of all. */
static void mark(struct engine *engine)
{
    bool all_aaps = engine->parts.config->all_aaps;
    for (struct registry_aap *aap = registry_first_aap(engine->parts.registry); aap; aap = aap->next) {
        struct engine_aap *notes = engine_aap(engine, aap->number);
        bool listed = all_aaps && is_named(engine->sync->names, aap->name);
        if (listed && aap->gone) {
            aap->gone = false;
            notified_changed(engine, aap->number);
        }
        if (notes)
            notes->listing.missing = !listed;
    }
}

static void add_all(struct engine *engine)
{
    struct sync_names *names = engine->sync->names;
    struct registry *registry = engine->parts.registry;
    for (size_t i = 0; i < names->count; i++) {
        const struct sync_name *told = &names->names[i];
        struct registry_aap *aap = registry_find_aap(registry, told->name);
        if (aap && registry_aap_leaves(registry, aap->number)) {
            engine->sync->again = true; /* it is just leaving: once more when it has left */
            continue;
        }
        aap = registry_add_aap(registry, told->name, config_for_aap(engine->parts.config, told->name));
        bool was = aap && aap->ram_role;
        ram_role_note(aap, told->method);
        if (aap && aap->ram_role != was)
            engine_wake(engine, aap->number);
        names->hidden += aap == NULL;
    }
}

/* Whose AAPs these are is known as far as it can be. */
static void take(struct engine *engine)
{
    if (account_is_other(engine)) {
        finish(engine, account_error(engine));
        return;
    }
    registry_lock(engine->parts.registry);
    add_all(engine);
    mark(engine);
    registry_mount(engine->parts.registry)->hidden = engine->sync->names->hidden;
    registry_unlock(engine->parts.registry);
    engine->sync->next_to_show = 1;
    engine->sync->next_to_leave = 0;
    show_next(engine, 0);
}

static void account_learnt(struct engine *engine, const struct kms_error *error)
{
    if (!engine->sync->waits_for_account)
        return;
    engine->sync->waits_for_account = false;
    if (!engine->parts.config->all_aaps && error->number && !is_answer(error))
        engine->sync->account_error = *error; /* the names are shown all the same */
    take(engine);
}

static void have_names(struct engine *engine)
{
    struct sync_names *names = engine->sync->names;
    if (names->count > 0)
        qsort(names->names, names->count, sizeof(*names->names), compare_names);
    if (!account_is_known(engine) && names->count > 0 && account_learn(engine, names->first, account_learnt))
        engine->sync->waits_for_account = true;
    else
        take(engine);
}

static void listed(void *user, const struct kms_answer *answer, const struct kms_aap *aaps, size_t count)
{
    struct engine *engine = user;
    engine_observe(engine, answer);
    if (answer->error.number != 0) {
        finish(engine, &answer->error);
        return;
    }
    engine->sync->uncounted = answer->uncounted;
    struct sync_names *names = new_names(engine, count);
    for (size_t i = 0; names && i < count; i++)
        add_name(names, aaps[i].name, aaps[i].authentication_method);
    if (names)
        have_names(engine);
    else
        fail(engine, ENOMEM, "Memory", "memory is short");
}

static void take_configured(struct engine *engine)
{
    const struct config *config = engine->parts.config;
    struct sync_names *names = new_names(engine, config->aap_name_count);
    for (size_t i = 0; names && i < config->aap_name_count; i++)
        add_name(names, config->aap_names[i], "");
    if (names)
        have_names(engine);
    else
        fail(engine, ENOMEM, "Memory", "memory is short");
}

void sync_soon(struct engine *engine)
{
    if (engine->sync->listing)
        engine->sync->again = true;
    else
        engine->sync->next_ms = clock_boottime_ms();
}

void sync_begin(struct engine *engine, struct operation *operation)
{
    const struct config *config = engine->parts.config;
    if (operation)
        engine->sync->operation = operation;
    if (engine->sync->listing) {
        /* what is under way may have been asked for before what the writer wants to see */
        engine->sync->again = engine->sync->again || operation;
        return;
    }
    engine->sync->listing = true;
    engine->sync->account_error = (struct kms_error){0};
    engine->sync->next_ms = INT64_MAX;
    (void)pace_take(&engine->pace, config->requests_per_second, clock_monotonic_ms()); /* it never waits */
    if (!config->all_aaps)
        take_configured(engine);
    else if (kms_list_application_access_points(engine->parts.transport, config->request_timeout_ms, listed, engine) < 0)
        fail(engine, ENOMEM, "Memory", "memory is short");
}

void sync_end(struct engine *engine)
{
    if (engine->sync)
        free_names(engine);
    free(engine->sync);
}

static bool is_awaited(const struct engine *engine)
{
    return operation_is_awaited(engine->sync->operation);
}

bool sync_start(struct engine *engine)
{
    static const struct client_keys_walker walker = {walk_failed, walked, answered, is_awaited};
    engine->sync = calloc(1, sizeof(*engine->sync));
    if (!engine->sync)
        return false;
    engine->sync->next_ms = INT64_MAX;
    return client_keys_start(engine, &walker);
}
