#include "fs/keys/engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/keys/operation.h"
#include "fs/log.h"
#include "fs/stops.h"

/* An answer may come at a request's own deadline: those who wait are answered a little later. */
enum { ANSWER_MS = 500 };

/* Writes on their way from the session's thread to the engine's, oldest first. */
struct queued {
    struct engine_write write;
    struct queued *next;
    char data[];
};

struct engine_queue {
    pthread_mutex_t lock;
    pthread_t thread;
    struct queued *first, **end;
    bool stop;
};

int64_t engine_now(const struct engine *engine)
{
    return clock_kms_time(&engine->clock, clock_local_ms());
}

void engine_observe(struct engine *engine, const struct kms_answer *answer)
{
    const struct transport_answer *transport = answer->transport;
    if (!transport)
        return;
    clock_observe(&engine->clock, transport->server_date, transport->sent_at_ms,
                  transport->received_at_ms);
    registry_lock(engine->parts.registry);
    registry_mount(engine->parts.registry)->clock_offset_ms = engine->clock.offset_ms;
    registry_unlock(engine->parts.registry);
}

struct engine_aap *engine_aap(struct engine *engine, uint32_t aap)
{
    if (aap >= engine->aap_room) {
        size_t room = aap < 32 ? 64 : (size_t)aap * 2;
        struct engine_aap *grown = reallocarray(engine->aaps, room, sizeof(*grown));
        if (!grown)
            return NULL;
        memset(grown + engine->aap_room, 0, (room - engine->aap_room) * sizeof(*grown));
        engine->aaps = grown;
        engine->aap_room = room;
    }
    return &engine->aaps[aap];
}

static void answer_waiting(struct operation *operation, int result)
{
    const struct engine_parts *parts = &operation->engine->parts;
    for (size_t i = 0; i < operation->waiting_count; i++)
        if (!parts->answer(parts->answer_user, operation->waiting[i], result))
            operation->interrupted = true;
    operation->waiting_count = 0;
    operation->answered = true;
}

const struct config_aap *operation_aap_name(const struct operation *operation,
                                            char aap_name[static AAP_NAME_SIZE])
{
    struct registry *registry = operation->engine->parts.registry;
    registry_lock(registry);
    const struct registry_aap *aap = registry_aap(registry, operation->aap);
    const struct config_aap *config = aap->config;
    memcpy(aap_name, aap->name, AAP_NAME_SIZE);
    registry_unlock(registry);
    return config;
}

unsigned int operation_time_left(const struct operation *operation)
{
    int64_t left_ms = operation->deadline_ms - ANSWER_MS - clock_monotonic_ms();
    return left_ms < 1 ? 1 : (unsigned int)left_ms;
}

static void free_operation(struct operation *operation)
{
    if (operation->intent)
        store_leave(operation->engine->store, operation->intent);
    OPENSSL_clear_free(operation->bytes, operation->size);
    control_clear(&operation->command);
    free(operation->waiting);
    free(operation);
}

static bool is_network_error(int number)
{
    return number == ETIMEDOUT || number == ECONNREFUSED || number == EHOSTUNREACH ||
           number == ECONNRESET;
}

static struct registry_failure *failure_of(struct operation *operation)
{
    struct registry *registry = operation->engine->parts.registry;
    struct registry_aap *aap = registry_aap(registry, operation->aap);
    return aap ? &aap->failure : &registry_mount(registry)->failure;
}

/* The result is known: those who wait hear of it, and the AAP is free again. */
static void end(struct operation *operation, int result)
{
    struct engine *engine = operation->engine;
    struct engine_aap *notes = engine_aap(engine, operation->aap);

    if (notes && notes->running == operation) {
        notes->running = NULL;
        notes->network_error = is_network_error(-result) ? -result : 0;
        notes->network_error_ms = clock_monotonic_ms();
    }
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    if (aap && notes && !notes->running)
        aap->busy = false;
    registry_unlock(engine->parts.registry);

    control_clear(&operation->command);
    operation->ended = true;
    operation->result = result;
    operation->ended_ms = clock_monotonic_ms();
    answer_waiting(operation, result);
}

void operation_fail(struct operation *operation, const char *name, const struct kms_error *error)
{
    registry_lock(operation->engine->parts.registry);
    struct registry_failure *failure = failure_of(operation);
    failure->error = *error;
    failure->time = engine_now(operation->engine);
    if (failure->error.operation[0] == '\0')
        snprintf(failure->error.operation, sizeof(failure->error.operation), "%s", name);
    registry_unlock(operation->engine->parts.registry);
    end(operation, -error->number);
}

void operation_refuse(struct operation *operation, const char *name, int number, const char *code,
                      const char *format, ...)
{
    struct kms_error error = {.number = number};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.message, sizeof(error.message), format, arguments);
    va_end(arguments);
    snprintf(error.code, sizeof(error.code), "%s", code);
    operation_fail(operation, name, &error);
}

void operation_succeed(struct operation *operation, const char *name)
{
    registry_lock(operation->engine->parts.registry);
    struct registry_failure *failure = failure_of(operation);
    const char *failed = failure->error.operation;
    /* a creation asks for its AAP's account, so that succeeded too */
    if (strcmp(failed, name) == 0 || strcmp(failed, "control") == 0 ||
        (operation->intent_number && strcmp(failed, "DescribeApplicationAccessPoint") == 0))
        *failure = (struct registry_failure){0};
    registry_unlock(operation->engine->parts.registry);
    stop_here("engine-replying");
    end(operation, 0);
}

static bool add_waiting(struct operation *operation, uint64_t number)
{
    uint64_t *grown =
        reallocarray(operation->waiting, operation->waiting_count + 1, sizeof(*grown));
    if (!grown)
        return false;
    operation->waiting = grown;
    operation->waiting[operation->waiting_count++] = number;
    return true;
}

static struct operation *new_operation(struct engine *engine, const struct engine_write *write)
{
    struct operation *operation = calloc(1, sizeof(*operation));
    if (!operation)
        return NULL;
    operation->engine = engine;
    operation->aap = write->aap;
    operation->pid = write->pid;
    operation->uid = write->uid;
    operation->bytes = OPENSSL_malloc(write->size + 1);
    operation->size = write->inherited ? 0 : write->size;
    if (!operation->bytes || !add_waiting(operation, write->number)) {
        free_operation(operation);
        return NULL;
    }
    if (!write->inherited)
        memcpy(operation->bytes, write->data, write->size);
    operation->deadline_ms =
        clock_monotonic_ms() + engine->parts.config->request_timeout_ms + ANSWER_MS;
    operation->next = engine->operations;
    engine->operations = operation;
    return operation;
}

static bool is_repetition(const struct operation *operation, const struct engine_write *write)
{
    return operation->aap == write->aap && operation->uid == write->uid &&
           operation->size == write->size &&
           CRYPTO_memcmp(operation->bytes, write->data, write->size) == 0;
}

/*
 * A write that was interrupted is repeated by many programs of their own accord: the same bytes
 * from the same user are that operation's, not a new one.
 */
static bool join(struct engine *engine, const struct engine_write *write)
{
    const struct engine_parts *parts = &engine->parts;
    for (struct operation *operation = engine->operations; operation;
         operation = operation->next) {
        if (!is_repetition(operation, write))
            continue;
        if (operation->ended && operation->interrupted) {
            parts->answer(parts->answer_user, write->number, operation->result);
            return true;
        }
        if (!operation->ended && add_waiting(operation, write->number)) {
            operation->answered = false;
            if (operation->intent_number)
                parts->note_intent(parts->note_user, write->number, operation->intent_number);
            return true;
        }
    }
    return false;
}

static const char *const verb_names[] = {
    [CONTROL_CREATE] = "CreateClientKey",
    [CONTROL_DELETE] = "DeleteClientKey",
    [CONTROL_SYNC] = "ListApplicationAccessPoints",
    [CONTROL_UPGRADE] = "upgrade",
};

/* One command at a time for each AAP, and none right after the network failed one. */
static bool may_begin(struct operation *operation, struct engine_aap *notes)
{
    struct engine *engine = operation->engine;
    const char *name = verb_names[operation->command.verb];
    int64_t guard_ms = engine->parts.config->creation_guard_ms;
    int64_t now_ms = clock_monotonic_ms();

    if (notes->running) {
        operation_refuse(operation, name, EBUSY, "Busy",
                         "an earlier command for this AAP is still under way; wait until status "
                         "shows its result");
        return false;
    }
    if (notes->network_error && now_ms - notes->network_error_ms < guard_ms) {
        int number = notes->network_error;
        int64_t since_ms = notes->network_error_ms;
        registry_lock(engine->parts.registry);
        struct kms_error error = failure_of(operation)->error;
        registry_unlock(engine->parts.registry);
        error.number = number;
        operation_fail(operation, name, &error);
        notes->network_error = number;
        notes->network_error_ms = since_ms;
        return false;
    }
    return true;
}

static void begin(struct operation *operation)
{
    struct engine *engine = operation->engine;
    struct engine_aap *notes = engine_aap(engine, operation->aap);
    if (!notes) {
        end(operation, -ENOMEM);
        return;
    }
    operation->waits_for_catch_up = !catch_up_is_done(engine, operation->aap);
    if (operation->waits_for_catch_up || !may_begin(operation, notes))
        return;
    notes->running = operation;
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    if (aap)
        aap->busy = true;
    registry_unlock(engine->parts.registry);

    switch (operation->command.verb) {
    case CONTROL_CREATE:
        rotation_begin(operation);
        break;
    case CONTROL_DELETE:
        retire_begin(operation);
        break;
    case CONTROL_SYNC:
        sync_begin(engine, operation);
        break;
    case CONTROL_UPGRADE:
        operation->deadline_ms = INT64_MAX; /* the supervisor has its own */
        engine->parts.upgrade(engine->parts.answer_user, operation->waiting[0], false);
        break;
    }
}

/* The worker before has asked the supervisor; its verdict comes to this one. */
static void inherit_upgrade(struct engine *engine, const struct engine_write *write)
{
    struct operation *operation = new_operation(engine, write);
    if (!operation) {
        engine->parts.answer(engine->parts.answer_user, write->number, -EIO);
        return;
    }
    operation->command.verb = CONTROL_UPGRADE;
    operation->deadline_ms = INT64_MAX;
    engine->parts.upgrade(engine->parts.answer_user, write->number, true);
}

void engine_verdict(struct engine *engine, int number, const char *text)
{
    for (struct operation *operation = engine->operations; operation; operation = operation->next) {
        if (operation->ended || operation->command.verb != CONTROL_UPGRADE)
            continue;
        if (number == 0)
            operation_succeed(operation, verb_names[CONTROL_UPGRADE]);
        else
            operation_refuse(operation, verb_names[CONTROL_UPGRADE], number, "Upgrade", "%s", text);
    }
}

void engine_drain(struct engine *engine, bool drain)
{
    engine->draining = drain;
    engine->told_drained = false;
}

static bool is_idle(const struct engine *engine)
{
    for (const struct operation *operation = engine->operations; operation;
         operation = operation->next)
        if (!operation->ended && operation->command.verb != CONTROL_UPGRADE)
            return false;
    return true;
}

static void tell_drained(struct engine *engine)
{
    if (!engine->draining || engine->told_drained || !is_idle(engine))
        return;
    engine->told_drained = true;
    engine->parts.drained(engine->parts.answer_user);
}

void engine_caught_up(struct engine *engine, uint32_t aap)
{
    for (struct operation *operation = engine->operations; operation; operation = operation->next) {
        if (operation->aap != aap || !operation->waits_for_catch_up)
            continue;
        operation->waits_for_catch_up = false;
        if (operation->answered) /* its time was up before it began */
            end(operation, -ETIMEDOUT);
        else
            begin(operation);
    }
}

static void take_write(struct engine *engine, const struct engine_write *write)
{
    if (write->inherited) {
        if (write->upgrade)
            inherit_upgrade(engine, write);
        else
            inherit_write(engine, write);
        return;
    }
    engine->parts.begin(engine->parts.answer_user, write->number);
    stop_here("engine-taken");
    if (join(engine, write))
        return;
    struct operation *operation = new_operation(engine, write);
    if (!operation) {
        engine->parts.answer(engine->parts.answer_user, write->number, -ENOMEM);
        return;
    }
    char reason[256];
    if (control_parse(write->aap == 0, write->data, write->size, write->offset, engine_now(engine),
                      &operation->command, reason, sizeof(reason)) < 0)
        operation_refuse(operation, "control", EINVAL, "InvalidCommand", "%s", reason);
    else
        begin(operation);
}

static void free_queued(struct queued *queued)
{
    OPENSSL_cleanse(queued->data, queued->write.size);
    free(queued);
}

static void take_writes(struct engine *engine, bool *stop)
{
    struct engine_queue *queue = engine->queue;
    pthread_mutex_lock(&queue->lock);
    struct queued *queued = NULL;
    if (!engine->draining) {
        queued = queue->first;
        queue->first = NULL;
        queue->end = &queue->first;
    }
    *stop = queue->stop;
    pthread_mutex_unlock(&queue->lock);

    while (queued) {
        struct queued *next = queued->next;
        take_write(engine, &queued->write);
        free_queued(queued);
        queued = next;
    }
}

/* Answers whose time is up, forgets what nobody can join any more; when to look again. */
static int64_t tend_operations(struct engine *engine)
{
    int64_t now_ms = clock_monotonic_ms(), next_ms = now_ms + 3600 * 1000;
    struct operation **link = &engine->operations;
    while (*link) {
        struct operation *operation = *link;
        int64_t until_ms = operation->ended
                               ? operation->ended_ms + engine->parts.config->request_timeout_ms
                               : operation->deadline_ms;
        if (operation->ended && (!operation->interrupted || now_ms >= until_ms)) {
            *link = operation->next;
            free_operation(operation);
            continue;
        }
        if (!operation->ended && !operation->answered && now_ms >= until_ms)
            answer_waiting(operation, -ETIMEDOUT);
        if (until_ms > now_ms && until_ms < next_ms)
            next_ms = until_ms;
        link = &operation->next;
    }
    return next_ms;
}

static void *run(void *argument)
{
    struct engine *engine = argument;
    const struct engine_parts *parts = &engine->parts;
    bool stop = false;

    catch_up(engine);
    sync_begin(engine, NULL);
    for (;;) {
        take_writes(engine, &stop);
        if (stop)
            break;
        parts->receive_messages(parts->answer_user);
        if (!parts->publish_receive(parts->publish_user)) {
            parts->failed(parts->event_user);
            break;
        }
        if (clock_monotonic_ms() >= engine->next_sync_ms)
            sync_begin(engine, NULL);
        int64_t next_ms = tend_operations(engine), unsaved_ms = unsaved_tend(engine);
        if (unsaved_ms < next_ms)
            next_ms = unsaved_ms;
        tell_drained(engine);
        if (engine->next_sync_ms < next_ms)
            next_ms = engine->next_sync_ms;
        int64_t wait_ms = next_ms - clock_monotonic_ms();
        transport_run(parts->transport, wait_ms < 0 ? 0 : (int)wait_ms);
    }
    return NULL;
}

/* Where keys were kept before, their store is there. */
static int open_store(struct engine *engine)
{
    const struct engine_parts *parts = &engine->parts;
    char reason[2 * STATE_PATH_SIZE + 256];
    int r = state_find_account(parts->state, parts->config->region, engine->account, reason,
                               sizeof(reason));
    if (r == 0 && engine->account[0])
        r = state_open_store(parts->state, parts->config->region, engine->account, &engine->store,
                             reason, sizeof(reason));
    if (r < 0)
        log_error("state: %s", reason);
    else
        memcpy(registry_mount(parts->registry)->account, engine->account, sizeof(engine->account));
    return r;
}

static void free_engine(struct engine *engine)
{
    store_close(engine->store);
    if (engine->queue)
        pthread_mutex_destroy(&engine->queue->lock);
    free(engine->queue);
    free(engine->aaps);
    free(engine);
}

struct engine *engine_start(const struct engine_parts *parts)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return NULL;
    engine->parts = *parts;
    engine->next_sync_ms = INT64_MAX;
    struct engine_queue *queue = engine->queue = calloc(1, sizeof(*queue));
    if (queue) {
        queue->end = &queue->first;
        pthread_mutex_init(&queue->lock, NULL);
    }
    if (!queue || open_store(engine) < 0) {
        free_engine(engine);
        return NULL;
    }
    transport_watch(parts->transport, parts->publish_socket);
    transport_watch(parts->transport, parts->message_socket);
    if (pthread_create(&queue->thread, NULL, run, engine) != 0) {
        free_engine(engine);
        return NULL;
    }
    pthread_setname_np(queue->thread, "engine");
    return engine;
}

bool engine_submit(struct engine *engine, const struct engine_write *write)
{
    struct queued *queued = malloc(sizeof(*queued) + write->size);
    if (!queued)
        return false;
    queued->write = *write;
    queued->next = NULL;
    queued->write.data = memcpy(queued->data, write->data, write->size);

    pthread_mutex_lock(&engine->queue->lock);
    *engine->queue->end = queued;
    engine->queue->end = &queued->next;
    pthread_mutex_unlock(&engine->queue->lock);
    transport_wake_up(engine->parts.transport);
    return true;
}

void engine_stop(struct engine *engine)
{
    if (!engine)
        return;
    pthread_mutex_lock(&engine->queue->lock);
    engine->queue->stop = true;
    pthread_mutex_unlock(&engine->queue->lock);
    transport_wake_up(engine->parts.transport);
    pthread_join(engine->queue->thread, NULL);

    while (engine->queue->first) {
        struct queued *queued = engine->queue->first;
        engine->queue->first = queued->next;
        free_queued(queued);
    }
    while (engine->operations) {
        struct operation *operation = engine->operations;
        engine->operations = operation->next;
        answer_waiting(operation, -EIO);
        free_operation(operation);
    }
    unsaved_end(engine);
    free_engine(engine);
}
