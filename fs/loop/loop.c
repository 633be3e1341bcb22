#include "fs/loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/applications/follow.h"
#include "fs/applications/hook.h"
#include "fs/base/log.h"
#include "fs/base/stops.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/engine/parts.h"
#include "fs/fleet/fleet.h"
#include "fs/keys/password_file.h"
#include "fs/keys/shared_key.h"
#include "fs/keys/unsaved.h"
#include "fs/loop/catch_up.h"
#include "fs/loop/foreign_state.h"
#include "fs/loop/inherit.h"
#include "fs/loop/load.h"
#include "fs/loop/reload.h"
#include "fs/loop/verbs.h"
#include "fs/sync/aaps.h"
#include "fs/sync/account.h"
#include "fs/sync/client_keys.h"
#include "fs/sync/doubts.h"
#include "fs/upkeep/upkeep.h"

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

/* One command at a time for each AAP, and none that asks KMS right after the network failed one. */
static bool may_begin(struct operation *operation, struct engine_aap *notes)
{
    struct engine *engine = operation->engine;
    int64_t guard_ms = engine->parts.config->creation_guard_ms;
    int64_t now_ms = clock_monotonic_ms();

    if (notes->running) {
        operation_refuse(operation, EBUSY, "Busy", "an earlier command for this AAP is still under way; wait until status "
                         "shows its result");
        return false;
    }
    if (verbs[operation->command.verb].asks_kms && notes->network_error && now_ms - notes->network_error_mono_ms < guard_ms) {
        registry_lock(engine->parts.registry);
        struct kms_error error = operation_failure(operation)->error;
        registry_unlock(engine->parts.registry);
        error.number = notes->network_error;
        operation_fail(operation, &error);
        return false;
    }
    return true;
}

static void begin(struct operation *operation)
{
    struct engine *engine = operation->engine;
    struct engine_aap *notes = engine_aap(engine, operation->aap);
    if (!notes) {
        operation_end(operation, -ENOMEM);
        return;
    }
    if (!engine_is_caught_up(engine, operation->aap))
        return;
    if (operation->aap != 0 && !engine_has_aap(engine, operation->aap)) { /* it has left since its control was opened */
        operation_end(operation, -ENOENT);
        return;
    }
    const struct verb *verb = &verbs[operation->command.verb];
    if (!verb->beside_others) {
        if (!may_begin(operation, notes))
            return;
        registry_lock(engine->parts.registry);
        operation_take_aap(operation);
        registry_unlock(engine->parts.registry);
    }
    operation_enter(operation, OPERATION_UNDER_WAY);
    verb->begin(operation);
}

/* The worker before has asked the supervisor; its verdict comes to this one. */
static void inherit_upgrade(struct engine *engine, const struct engine_write *write)
{
    struct operation *operation = operation_new(engine, write);
    if (!operation) {
        engine->parts.answer(engine->parts.answer_user, write->number, -EIO);
        return;
    }
    operation->command.verb = CONTROL_UPGRADE;
    operation_enter(operation, OPERATION_UNDER_WAY);
    operation_wait_until(operation, INT64_MAX);
    engine->parts.upgrade(engine->parts.answer_user, write->number, true);
}

void loop_verdict(struct engine *engine, int number, const char *text)
{
    for (struct operation *operation = engine->operations; operation; operation = operation->next) {
        if (operation->stage == OPERATION_ENDED || operation->command.verb != CONTROL_UPGRADE)
            continue;
        if (number == 0)
            operation_succeed(operation);
        else
            operation_refuse(operation, number, "Upgrade", "%s", text);
    }
}

void loop_drain(struct engine *engine, bool drain)
{
    engine->draining = drain;
    engine->told_drained = false;
    if (!drain)
        hook_tend_all(engine);
    engine_wake_all(engine);
}

/* Nor is it idle with a key that is not saved: a creation that ended after the upgrade began may have left one. */
static bool is_idle(const struct engine *engine)
{
    if (engine->unsaved)
        return false;
    for (const struct operation *operation = engine->operations; operation; operation = operation->next)
        if (operation->stage != OPERATION_ENDED && operation->command.verb != CONTROL_UPGRADE)
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

/* What waited until its AAP has caught up. */
static void begin_waiting(struct engine *engine)
{
    if (engine->in_stage[OPERATION_WAITS_FOR_CATCH_UP] == 0)
        return;
    for (struct operation *operation = engine->operations; operation; operation = operation->next) {
        if (operation->stage != OPERATION_WAITS_FOR_CATCH_UP || !engine_is_caught_up(engine, operation->aap))
            continue;
        if (operation_is_late(operation)) /* its time was up before it began */
            operation_end(operation, -ETIMEDOUT);
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
    if (operation_join(engine, write))
        return;
    struct operation *operation = operation_new(engine, write);
    if (!operation) {
        engine->parts.answer(engine->parts.answer_user, write->number, -ENOMEM);
        return;
    }
    char reason[256];
    if (!engine->parts.config->control)
        operation_refuse(operation, EPERM, "ControlIsOff",
                         "control = no in the configuration: nothing is written here; to change that, change it there "
                         "and send SIGHUP to aapfs");
    else if (control_parse(write->aap == 0, write->data, write->size, write->offset, engine_now(engine),
                      &operation->command, reason, sizeof(reason)) < 0)
        operation_refuse(operation, EINVAL, "InvalidCommand", "%s", reason);
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

/* A key that KMS is about to hand out is taken and saved first: there is no second one. Nothing new is begun. */
static bool may_stop(struct engine *engine, int64_t *until_ms)
{
    bool awaited = false;
    engine->draining = true;
    for (const struct operation *operation = engine->operations; operation; operation = operation->next)
        awaited = awaited || (operation->stage != OPERATION_ENDED && operation->creation.intent);
    if (*until_ms == INT64_MAX)
        *until_ms = clock_monotonic_ms() + engine->parts.config->request_timeout_ms + 500;
    return !awaited || clock_monotonic_ms() >= *until_ms;
}

static void *run(void *argument)
{
    struct engine *engine = argument;
    const struct engine_parts *parts = &engine->parts;
    int64_t stop_until_ms = INT64_MAX;
    bool stop = false;

    catch_up(engine);
    hook_tend_all(engine);
    follow_expect_all(engine);
    if (parts->refresh)
        reload_refresh_all(engine);
    sync_begin(engine, NULL);
    for (;;) {
        upkeep_follow_clock(engine);
        take_writes(engine, &stop);
        if (stop && may_stop(engine, &stop_until_ms))
            break;
        parts->receive_messages(parts->answer_user);
        if (!parts->publish_receive(parts->publish_user) || !parts->run_receive(parts->run_user)) {
            parts->failed(parts->event_user);
            break;
        }
        begin_waiting(engine);
        fleet_turn(engine); /* what it ends or begins is looked at in this turn */
        int64_t next_ms = operations_tend(engine), unsaved_ms = unsaved_tend(engine);
        /* a rotation that is due goes before the next listing: both wait for their turn in one pace */
        upkeep_tend(engine);
        int64_t password_ms = password_file_tend(engine);
        int64_t sync_ms = sync_tend(engine), listing_ms = client_keys_tend(engine), follow_ms = follow_tend(engine);
        int64_t publish_ms = parts->publish_tend ? parts->publish_tend(parts->publish_user) : INT64_MAX;
        if (publish_ms < next_ms)
            next_ms = publish_ms;
        if (upkeep_next_ms(engine) < next_ms)
            next_ms = upkeep_next_ms(engine);
        if (password_ms < next_ms)
            next_ms = password_ms;
        if (unsaved_ms < next_ms)
            next_ms = unsaved_ms;
        if (listing_ms < next_ms)
            next_ms = listing_ms;
        if (sync_ms < next_ms)
            next_ms = sync_ms;
        if (follow_ms < next_ms)
            next_ms = follow_ms;
        if (fleet_next_ms(engine) < next_ms) /* what has changed in this turn is told */
            next_ms = fleet_next_ms(engine);
        tell_drained(engine);
        if (stop_until_ms < next_ms)
            next_ms = stop_until_ms;
        int64_t wait_ms = next_ms - clock_monotonic_ms();
        transport_run(parts->transport, wait_ms < 0 ? 0 : (int)wait_ms);
    }
    return NULL;
}

static void free_engine(struct engine *engine)
{
    fleet_stop(engine);
    reload_free(engine);
    doubts_end(engine);
    client_keys_end(engine);
    sync_end(engine);
    follow_end(engine);
    account_end(engine);
    if (engine->queue)
        pthread_mutex_destroy(&engine->queue->lock);
    free(engine->queue);
    upkeep_end(engine);
    engine_free_aaps(engine);
    free(engine);
}

struct engine *loop_start(const struct engine_parts *parts)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return NULL;
    engine->parts = *parts;
    engine->verbs = verbs;
    engine->operation_ended = upkeep_ended;
    engine->aap_changed = upkeep_fill;
    engine->fleet_key_came = shared_key_came;
    engine->fleet_key_gone = shared_key_gone;
    engine->start_ms = clock_local_ms();
    engine->start_boot_ms = clock_boottime_ms();
    engine->sections_told = !parts->first && !parts->refresh;
    registry_mount(parts->registry)->control_is_off = !parts->config->control;
    struct engine_queue *queue = engine->queue = calloc(1, sizeof(*queue));
    if (queue) {
        queue->end = &queue->first;
        pthread_mutex_init(&queue->lock, NULL);
    }
    bool good = queue && sync_start(engine) && follow_start(engine) && account_start(engine) == 0 && load_store(engine) == 0;
    if (good)
        foreign_state_look(engine);
    if (!good || fleet_start(engine) < 0 || !upkeep_start(engine)) {
        free_engine(engine);
        return NULL;
    }
    transport_watch(parts->transport, parts->publish_socket);
    transport_watch(parts->transport, parts->run_socket);
    transport_watch(parts->transport, parts->message_socket);
    if (fleet_watched(engine) >= 0)
        transport_watch(parts->transport, fleet_watched(engine));
    if (pthread_create(&queue->thread, NULL, run, engine) != 0) {
        free_engine(engine);
        return NULL;
    }
    pthread_setname_np(queue->thread, "engine");
    return engine;
}

bool loop_submit(struct engine *engine, const struct engine_write *write)
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

void loop_stop(struct engine *engine)
{
    if (!engine)
        return;
    pthread_mutex_lock(&engine->queue->lock);
    engine->queue->stop = true;
    pthread_mutex_unlock(&engine->queue->lock);
    transport_wake_up(engine->parts.transport);
    pthread_join(engine->queue->thread, NULL);
    password_file_end(engine);

    while (engine->queue->first) {
        struct queued *queued = engine->queue->first;
        engine->queue->first = queued->next;
        free_queued(queued);
    }
    operations_end(engine);
    unsaved_end(engine);
    free_engine(engine);
}
