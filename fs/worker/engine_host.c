#include "fs/worker/engine_host.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/stops.h"
#include "fs/config/file.h"
#include "fs/engine/parts.h"
#include "fs/loop/loop.h"
#include "fs/loop/reload.h"
#include "fs/mount/worker_link.h"
#include "fs/publisher/publication.h"
#include "fs/runner/runs.h"
#include "fs/worker/pending.h"
#include "fs/worker/session.h"
#include "kmsapi/cleanup.h"

static bool answer_write(void *user, uint64_t number, int result)
{
    const struct worker *worker = user;
    return pending_answer(worker->pending, number, result);
}

static void begin_write(void *user, uint64_t number)
{
    const struct worker *worker = user;
    pending_begun(worker->pending, number, SLOT_WAITING);
}

static void tell_listed(void *user)
{
    struct worker *worker = user;
    if (!worker->told_listed)
        (void)worker_link_send(worker->parts->link, WORKER_LISTED, 0, "%s", "");
    worker->told_listed = true;
}

static void ask_for_upgrade(void *user, uint64_t number, bool inherited)
{
    const struct worker *worker = user;
    pending_begun(worker->pending, number, SLOT_UPGRADE);
    int r = worker_link_send(worker->parts->link, inherited ? WORKER_AWAITS_VERDICT : WORKER_WANTS_UPGRADE, 0, "%s", "");
    if (r < 0)
        loop_verdict(worker->engine, -r, "the supervisor does not listen; try again");
}

static void tell_drained(void *user)
{
    const struct worker *worker = user;
    (void)worker_link_send(worker->parts->link, WORKER_DRAINED, 0, "%s", "");
}

static void ask_for_reload(void *user)
{
    const struct worker *worker = user;
    int r = worker_link_send(worker->parts->link, WORKER_WANTS_RELOAD, 0, "%s", "");
    if (r < 0)
        reload_refused(worker->engine, -r, "the supervisor does not listen; try again");
}

static void tell_reloaded(void *user, bool told)
{
    struct worker *worker = user;
    if (told)
        worker->memory.head->config_told = worker->config;
    if (worker->reloading)
        (void)worker_link_send(worker->parts->link, WORKER_RELOADED, 0, "%s", "");
    worker->reloading = false;
}

/* The supervisor has found it good: what goes wrong here is memory, or a user who is gone since. */
static void reload(struct worker *worker, int copy, bool asked)
{
    const struct configurer *configurer = worker->parts->configurer;
    char reason[400] = "memory is short";
    struct config *config = calloc(1, sizeof(*config));
    int r = config && copy >= 0 ? configurer->read(configurer, copy, config, reason, sizeof(reason)) : -ENOMEM;
    if (r < 0) {
        free(config);
        reload_refused(worker->engine, -r, reason);
        (void)worker_link_send(worker->parts->link, WORKER_RELOADED, -r, "%s", reason);
        return;
    }
    struct config *before = worker->reloaded;
    worker->config = worker->memory.head->config;
    worker->reloaded = config;
    worker->reloading = true;
    stop_here("worker-reloading");
    reload_config(worker->engine, config, asked);
    if (before)
        config_clear(before);
    free(before);
}

static void receive_messages(void *user)
{
    struct worker *worker = user;
    struct worker_message message;
    int descriptor = -1;
    if (!worker->engine)
        return; /* they stay: it is asked again at once */
    while (worker_link_receive(worker->parts->link, &message, &descriptor) == 0) {
        if (message.kind == WORKER_DRAIN || message.kind == WORKER_RESUME) {
            loop_drain(worker->engine, message.kind == WORKER_DRAIN);
        } else if (message.kind == WORKER_LEAVE) {
            atomic_store(&worker->leaving, true);
            session_stop(worker->session);
        } else if (message.kind == WORKER_VERDICT) {
            loop_verdict(worker->engine, message.number, message.text);
        } else if (message.kind == WORKER_RELOAD_REFUSED) {
            reload_refused(worker->engine, message.number, message.text);
        } else if (message.kind == WORKER_CONFIG) {
            reload(worker, descriptor, message.number != 0);
        }
        cleanup_close(&descriptor);
    }
}

static void engine_failed(void *user)
{
    log_error("the publisher's or the runner's socket is gone");
    kill(getpid(), SIGKILL); /* with all that is under way: the next worker goes on */
}

struct engine *engine_host_start(struct worker *worker)
{
    worker->config = worker->memory.head->config;
    const struct engine_parts parts = {
        .registry = worker->registry, .counters = worker->counters, .config = worker->parts->config,
        .transport = worker->transport, .library = worker->library, .state = worker->parts->state,
        .first = !worker->memory.head->served,
        .refresh = worker->memory.head->served && worker->config != worker->memory.head->config_told,
        .publish = publication_begin, .publish_user = worker->publications, .publish_socket = worker->parts->publisher,
        .publish_receive = publication_receive, .publish_tend = publication_tend,
        .run = runs_begin, .run_user = worker->runs, .run_socket = worker->parts->runner, .run_receive = runs_receive,
        .begin = begin_write, .answer = answer_write, .answer_user = worker,
        .note_intent = pending_note_intent, .note_user = worker->pending,
        .upgrade = ask_for_upgrade, .reload = ask_for_reload, .reloaded = tell_reloaded, .drained = tell_drained,
        .message_socket = worker->parts->link, .receive_messages = receive_messages,
        .first_sync_ended = tell_listed, .failed = engine_failed, .event_user = worker,
    };
    return loop_start(&parts);
}
