#include "fs/engine/operation.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/base/stops.h"
#include "fs/engine/done.h"
#include "fs/engine/engine.h"
#include "fs/engine/parts.h"

/* An answer may come at a request's own deadline: those who wait are answered a little later. */
enum { ANSWER_MS = 500 };

/* Begun once, waiting for one thing at a time, and ended once. */
void operation_enter(struct operation *operation, enum operation_stage stage)
{
    assert(operation->stage != OPERATION_ENDED && operation->stage != stage);
    assert(operation->stage == OPERATION_UNDER_WAY || stage == OPERATION_UNDER_WAY || stage == OPERATION_ENDED);
    operation->engine->in_stage[operation->stage]--;
    operation->engine->in_stage[stage]++;
    operation->stage = stage;
}

/* When there is something to do about it by time alone. */
static void set_due(struct operation *operation)
{
    int64_t when = operation->waiters.answered ? INT64_MAX : operation->waiters.deadline_ms;
    if (operation->stage == OPERATION_ENDED) /* one that was interrupted may be repeated */
        when = operation->waiters.interrupted ? operation->ended_ms + operation->engine->parts.config->request_timeout_ms : 0;
    due_at(&operation->engine->answers, &operation->due, when);
}

void operation_answer(struct operation *operation, int result)
{
    const struct engine_parts *parts = &operation->engine->parts;
    for (size_t i = 0; i < operation->waiters.count; i++)
        if (!parts->answer(parts->answer_user, operation->waiters.writes[i], result))
            operation->waiters.interrupted = true;
    operation->waiters.count = 0;
    operation->waiters.answered = true;
    set_due(operation);
}

void operation_wait_until(struct operation *operation, int64_t deadline_ms)
{
    operation->waiters.deadline_ms = deadline_ms;
    operation->waiters.answered = false;
    set_due(operation);
}

const struct config_aap *operation_aap_name(const struct operation *operation, char aap_name[static AAP_NAME_SIZE])
{
    struct registry *registry = operation->engine->parts.registry;
    registry_lock(registry);
    /* names stay where they are, also of one that has left */
    memcpy(aap_name, numbers_aap(registry_numbers(registry), operation->aap)->name, AAP_NAME_SIZE);
    registry_unlock(registry);
    return config_for_aap(operation->engine->parts.config, aap_name);
}

unsigned int operation_time_left(const struct operation *operation)
{
    int64_t left_ms = operation->waiters.deadline_ms - ANSWER_MS - clock_monotonic_ms();
    return left_ms < 1 ? 1 : (unsigned int)left_ms;
}

static void free_operation(struct operation *operation)
{
    if (operation->creation.intent)
        store_leave(operation->engine->store, operation->creation.intent);
    OPENSSL_clear_free(operation->caller.bytes, operation->caller.size);
    control_clear(&operation->command);
    free(operation->waiters.writes);
    free(operation);
}

static bool is_network_error(int number)
{
    return number == ETIMEDOUT || number == ECONNREFUSED || number == EHOSTUNREACH || number == ECONNRESET;
}

struct registry_failure *operation_failure(struct operation *operation)
{
    struct registry *registry = operation->engine->parts.registry;
    struct registry_aap *aap = registry_aap(registry, operation->aap);
    return aap ? &aap->failure : &registry_mount(registry)->failure;
}

/* The result is known: those who wait hear of it, and the AAP is free again. */
void operation_end(struct operation *operation, int result)
{
    struct engine *engine = operation->engine;
    struct engine_aap *notes = engine_aap(engine, operation->aap);
    bool was_running = notes && notes->running == operation;

    if (was_running) {
        notes->running = NULL;
        notes->operations++;
        /* who writes now has not waited for an automatic one */
        notes->network_error = !operation->automatic && is_network_error(-result) ? -result : 0;
        notes->network_error_mono_ms = clock_monotonic_ms();
    }
    engine->operation_ended(operation, result);
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    if (aap && notes && !notes->running)
        aap->busy = false;
    if (was_running && !operation->yields && (operation->command.verb == CONTROL_CREATE || operation->command.verb == CONTROL_ROTATE))
        counters_add_rotation(engine->parts.counters, result == 0 ? ROTATION_DONE : ROTATION_FAILED);
    registry_unlock(engine->parts.registry);

    if (result == 0)
        done_tell(operation);
    control_wipe_secrets(&operation->command);
    operation_enter(operation, OPERATION_ENDED);
    operation->result = result;
    operation->ended_ms = clock_monotonic_ms();
    operation_answer(operation, result);
}

static enum failure_source source_of(const struct operation *operation)
{
    return operation->engine->verbs[operation->command.verb].failure;
}

void operation_fail(struct operation *operation, const struct kms_error *error)
{
    registry_lock(operation->engine->parts.registry);
    failure_set(operation_failure(operation), source_of(operation), error, engine_now(operation->engine));
    registry_unlock(operation->engine->parts.registry);
    operation_end(operation, -error->number);
}

void operation_refuse(struct operation *operation, int number, const char *code, const char *format, ...)
{
    struct kms_error error = {.number = number};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.message, sizeof(error.message), format, arguments);
    va_end(arguments);
    snprintf(error.code, sizeof(error.code), "%s", code);
    operation_fail(operation, &error);
}

void operation_succeed(struct operation *operation)
{
    registry_lock(operation->engine->parts.registry);
    struct registry_failure *failure = operation_failure(operation);
    failure_clear(failure, source_of(operation));
    failure_clear(failure, FAILURE_CONTROL);
    if (operation->intent_number) /* a creation asks for its AAP's account, so that succeeded too */
        failure_clear(failure, FAILURE_DESCRIPTION);
    registry_unlock(operation->engine->parts.registry);
    stop_here("engine-replying");
    operation_end(operation, 0);
}

static bool add_waiting(struct operation *operation, uint64_t number)
{
    uint64_t *grown = reallocarray(operation->waiters.writes, operation->waiters.count + 1, sizeof(*grown));
    if (!grown)
        return false;
    operation->waiters.writes = grown;
    operation->waiters.writes[operation->waiters.count++] = number;
    return true;
}

static void begin_waiting(struct operation *operation)
{
    operation_wait_until(operation, clock_monotonic_ms() + operation->engine->parts.config->request_timeout_ms + ANSWER_MS);
}

/* In the engine's list. */
static void add(struct engine *engine, struct operation *operation, uint32_t aap)
{
    _Static_assert(OPERATION_STAGES <= sizeof(engine->in_stage) / sizeof(engine->in_stage[0]), "each has a count");
    operation->engine = engine;
    operation->aap = aap;
    engine->in_stage[operation->stage]++;
    due_add(&engine->answers, &operation->due, 0);
    begin_waiting(operation);
    operation->next = engine->operations;
    if (operation->next)
        operation->next->before = operation;
    engine->operations = operation;
}

/* Out of it. */
static void forget(struct engine *engine, struct operation *operation)
{
    engine->in_stage[operation->stage]--;
    due_remove(&engine->answers, &operation->due);
    *(operation->before ? &operation->before->next : &engine->operations) = operation->next;
    if (operation->next)
        operation->next->before = operation->before;
    free_operation(operation);
}

struct operation *operation_new(struct engine *engine, const struct engine_write *write)
{
    struct operation *operation = calloc(1, sizeof(*operation));
    if (!operation)
        return NULL;
    operation->caller.pid = write->pid;
    operation->caller.uid = write->uid;
    operation->caller.size = write->inherited ? 0 : write->size;
    operation->caller.bytes = OPENSSL_malloc(write->size + 1);
    if (!operation->caller.bytes || !add_waiting(operation, write->number) || !due_reserve(&engine->answers)) {
        free_operation(operation);
        return NULL;
    }
    if (!write->inherited)
        memcpy(operation->caller.bytes, write->data, write->size);
    add(engine, operation, write->aap);
    return operation;
}

struct operation *operation_new_automatic(struct engine *engine, uint32_t aap, enum control_verb verb)
{
    struct operation *operation = due_reserve(&engine->answers) ? calloc(1, sizeof(*operation)) : NULL;
    if (!operation)
        return NULL;
    operation->automatic = true;
    operation->command.verb = verb;
    operation->stage = OPERATION_UNDER_WAY;
    add(engine, operation, aap);
    return operation;
}

static bool is_repetition(const struct operation *operation, const struct engine_write *write)
{
    /* another process may have changed the configuration's file since */
    if (operation->command.verb == CONTROL_RELOAD && (operation->caller.pid != write->pid || write->pid == 0))
        return false;
    return !operation->automatic && operation->aap == write->aap && write->uid != (uid_t)-1 &&
           operation->caller.uid == write->uid && operation->caller.size == write->size &&
           CRYPTO_memcmp(operation->caller.bytes, write->data, write->size) == 0;
}

bool operation_join(struct engine *engine, const struct engine_write *write)
{
    const struct engine_parts *parts = &engine->parts;
    for (struct operation *operation = engine->operations; operation; operation = operation->next) {
        if (!is_repetition(operation, write))
            continue;
        bool ended = operation->stage == OPERATION_ENDED;
        if (ended && operation->waiters.interrupted) {
            parts->answer(parts->answer_user, write->number, operation->result);
            return true;
        }
        if (!ended && add_waiting(operation, write->number)) {
            if (operation->waiters.answered) /* it is parked: whoever comes now waits anew */
                begin_waiting(operation);
            if (operation->intent_number)
                parts->note_intent(parts->note_user, write->number, operation->intent_number);
            return true;
        }
    }
    return false;
}

int64_t operations_tend(struct engine *engine)
{
    struct due_entry *entry;
    while ((entry = due_take_entry(&engine->answers, clock_monotonic_ms()))) {
        struct operation *operation = (struct operation *)((char *)entry - offsetof(struct operation, due));
        if (operation->stage == OPERATION_ENDED)
            forget(engine, operation);
        else
            operation_answer(operation, -ETIMEDOUT);
    }
    return due_when(&engine->answers);
}

void operations_end(struct engine *engine)
{
    while (engine->operations) {
        struct operation *operation = engine->operations;
        /* a key that is saved is the current one from the next start on */
        operation_answer(operation, operation->generation && !operation->creation.save_error ? 0 : -EIO);
        forget(engine, operation);
    }
    due_free(&engine->answers);
}

bool operation_is_awaited(const struct operation *operation)
{
    return operation && !operation->automatic && !operation->waiters.answered;
}

bool operation_is_late(const struct operation *operation)
{
    return !operation->automatic && operation->waiters.answered;
}

void operation_note_intent(struct operation *operation, uint64_t intent_number)
{
    const struct engine_parts *parts = &operation->engine->parts;
    operation->intent_number = intent_number;
    for (size_t i = 0; i < operation->waiters.count; i++)
        parts->note_intent(parts->note_user, operation->waiters.writes[i], intent_number);
}

void operation_take_aap(struct operation *operation)
{
    struct registry_aap *aap = registry_aap(operation->engine->parts.registry, operation->aap);
    engine_aap(operation->engine, operation->aap)->running = operation;
    if (aap)
        aap->busy = true;
}

bool operation_waits_for_listing(const struct operation *operation)
{
    return operation && operation->stage == OPERATION_WAITS_FOR_LISTING;
}

void operation_listed(struct engine *engine, uint32_t aap, const struct kms_error *error)
{
    struct operation *operation = engine_aap(engine, aap)->running;
    if (!operation_waits_for_listing(operation))
        return;
    operation_enter(operation, OPERATION_UNDER_WAY);
    operation->listed_then(operation, error);
}
