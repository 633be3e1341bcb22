#include "fs/mount/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>
#include <openssl/crypto.h>

#include "fs/keys/clock.h"
#include "fs/keys/engine.h"
#include "fs/log.h"
#include "fs/mount/mount_memory.h"
#include "fs/mount/pending.h"
#include "fs/mount/privileges.h"
#include "fs/mount/publication.h"
#include "fs/mount/receive_slots.h"
#include "fs/mount/session.h"
#include "fs/mount/worker_link.h"
#include "kmsapi/client_key.h"
#include "kmsapi/transport.h"

struct worker {
    const struct worker_parts *parts;
    struct mount_memory memory;
    struct receive_slots *slots;
    struct client_key_library *library;
    struct registry *registry;
    struct transport *transport;
    struct publications *publications;
    struct pending *pending;
    struct engine *engine;
    struct session *session;
    bool told_listed; /* the engine's thread */
};

/* For the signal handler: one worker a process. */
static struct session *volatile running_session;

static void stop_running_session(int signal_number)
{
    if (running_session)
        session_stop(running_session);
}

static void handle_signals(void)
{
    struct sigaction stop = {.sa_handler = stop_running_session};
    sigaction(SIGTERM, &stop, NULL);
}

static int copy_credentials(const struct credentials *from, struct credentials *to)
{
    *to = (struct credentials){
        .access_key_id = OPENSSL_strdup(from->access_key_id),
        .access_key_secret = OPENSSL_strdup(from->access_key_secret),
    };
    return to->access_key_id && to->access_key_secret ? 0 : -ENOMEM;
}

static int get_credentials(void *user, struct credentials *credentials, char *reason, size_t size)
{
    const struct worker *worker = user;
    if (worker->parts->credentials)
        return copy_credentials(worker->parts->credentials, credentials);
    return credentials_from_environment(credentials, reason, size);
}

static void begin_publication(void *user, const struct publish_request *request)
{
    const struct worker *worker = user;
    publication_begin(worker->publications, request);
}

static bool receive_publications(void *user)
{
    const struct worker *worker = user;
    return publication_receive(worker->publications);
}

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

static void note_intent(void *user, uint64_t number, uint64_t intent)
{
    const struct worker *worker = user;
    pending_note_intent(worker->pending, number, intent);
}

static void tell_listed(void *user)
{
    struct worker *worker = user;
    if (!worker->told_listed)
        (void)worker_link_send(worker->parts->link, WORKER_LISTED, 0, "%s", "");
    worker->told_listed = true;
}

static void say(void *user, const char *format, ...)
{
    const struct worker *worker = user;
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    (void)worker_link_send(worker->parts->link, WORKER_SAYS, 0, "%s", line);
}

/* The session's thread is told by a signal. */
static void engine_failed(void *user)
{
    log_error("the publisher's socket is gone");
    kill(getpid(), SIGKILL); /* with all that is under way: the next worker goes on */
}

static int make_lower_parts(struct worker *worker)
{
    const struct worker_parts *parts = worker->parts;
    char reason[256] = "memory is short";
    const struct transport_options options = {
        .endpoint = parts->config->endpoint,
        .user_agent = "aapfs/" AAPFS_VERSION,
        .get_credentials = get_credentials,
        .get_credentials_user = worker,
    };
    int r = transport_new(&options, &worker->transport, reason, sizeof(reason));
    if (r < 0) {
        log_error("endpoint: %s", reason);
        return r;
    }
    worker->library = client_key_library_new(true);
    if (!worker->library) {
        log_error("OpenSSL: its default provider cannot be loaded");
        return -ENOENT;
    }
    struct numbers *numbers = numbers_open(worker->memory.numbers);
    if (!numbers) {
        log_error("the mount memory makes no sense");
        return -EPROTO;
    }
    worker->registry = registry_new(numbers);
    worker->slots = receive_slots_new(worker->memory.slots);
    worker->pending = worker->slots ? pending_new(worker->slots) : NULL;
    if (worker->registry)
        worker->publications = publications_new(worker->registry, parts->publisher,
                                                &worker->memory.head->publications);
    return worker->publications && worker->pending ? 0 : -ENOMEM;
}

static struct engine *make_engine(struct worker *worker)
{
    const struct engine_parts parts = {
        .registry = worker->registry,
        .config = worker->parts->config,
        .transport = worker->transport,
        .library = worker->library,
        .publish = begin_publication,
        .publish_user = worker,
        .publish_socket = worker->parts->publisher,
        .publish_receive = receive_publications,
        .begin = begin_write,
        .note_intent = note_intent,
        .answer = answer_write,
        .answer_user = worker,
        .first_sync_ended = tell_listed,
        .failed = engine_failed,
        .event_user = worker,
    };
    return engine_start(&parts);
}

static struct session *make_session(struct worker *worker)
{
    const struct worker_parts *parts = worker->parts;
    const struct session_parts session = {
        .registry = worker->registry,
        .publications = worker->publications,
        .pending = worker->pending,
        .slots = worker->slots,
        .memory = &worker->memory,
        .engine = worker->engine,
        .owner = {geteuid(), getegid(), worker->memory.head->mounted_ns},
        .region = parts->config->region,
        .endpoint = parts->config->endpoint,
        .mountpoint = parts->mount_point->path,
        .say = say,
        .user = worker,
    };
    return session_new(&session, parts->mount_point->fuse);
}

static void free_parts(struct worker *worker)
{
    engine_stop(worker->engine);
    pending_free(worker->pending);
    session_free(worker->session);
    publications_free(worker->publications);
    registry_free(worker->registry);
    receive_slots_free(worker->slots);
    client_key_library_free(worker->library);
    transport_free(worker->transport);
    mount_memory_drop(&worker->memory);
}

/* Everything but the answering. */
static int prepare(struct worker *worker)
{
    int r = mount_memory_map(&worker->memory, worker->parts->memory);
    if (r < 0)
        log_error("the mount memory: %s",
                  r == -EPROTO ? "another version's, or damaged" : strerror(-r));
    if (r == 0)
        r = privileges_keep_only(UINT64_C(1) << CAP_IPC_LOCK);
    if (r == 0)
        r = privileges_lock_memory();
    return r < 0 ? r : make_lower_parts(worker);
}

static int serve(struct worker *worker)
{
    worker->engine = make_engine(worker);
    worker->session = worker->engine ? make_session(worker) : NULL;
    if (!worker->session)
        return -ENOMEM;
    int r = session_agree(worker->session);
    if (r < 0) {
        log_error("this version and the mount's first worker agree with the kernel on different things");
        return r;
    }
    running_session = worker->session;
    handle_signals();
    session_take_over(worker->session);
    r = session_run(worker->session);
    running_session = NULL;
    return r;
}

int worker_run(const struct worker_parts *parts)
{
    struct worker worker = {.parts = parts, .memory = {.descriptor = -1}};
    int r = prepare(&worker);
    if (r == 0)
        r = serve(&worker);
    if (r < 0)
        log_error("worker: %s", strerror(-r));
    free_parts(&worker);
    return r == SESSION_UNMOUNTED ? 0 : 1;
}
