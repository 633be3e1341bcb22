#include "fs/mount/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>
#include <openssl/crypto.h>

#include "fs/keys/clock.h"
#include "fs/keys/engine.h"
#include "fs/log.h"
#include "fs/mount/pending.h"
#include "fs/mount/privileges.h"
#include "fs/mount/publication.h"
#include "fs/mount/session.h"
#include "kmsapi/client_key.h"
#include "kmsapi/transport.h"

struct worker {
    const struct worker_parts *parts;
    struct client_key_library *library;
    struct registry *registry;
    struct transport *transport;
    struct publications *publications;
    struct pending *pending;
    struct engine *engine;
    struct session *session;
    bool told_ready; /* the engine's thread */
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
    struct sigaction stop = {.sa_handler = stop_running_session}; /* no SA_RESTART: read returns */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &ignore, NULL); /* ^C reaches the supervisor, which unmounts */
    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
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

static void tell_ready(void *user)
{
    struct worker *worker = user;
    if (!worker->told_ready && write(worker->parts->ready, "r", 1) < 0)
        log_error("ready: %s", strerror(errno));
    worker->told_ready = true;
}

/* The session's thread is told by a signal: it waits in read(2). */
static void engine_failed(void *user)
{
    log_error("the publisher is gone");
    kill(getpid(), SIGTERM);
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
    worker->registry = registry_new(numbers_open(parts->memory->numbers));
    worker->pending = pending_new();
    if (worker->registry)
        worker->publications = publications_new(worker->registry, parts->publisher);
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
        .answer = answer_write,
        .answer_user = worker,
        .first_sync_ended = tell_ready,
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
        .engine = worker->engine,
        .owner = {geteuid(), getegid(), clock_local_ns()},
        .region = parts->config->region,
        .endpoint = parts->config->endpoint,
        .mountpoint = parts->mount_point->path,
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
    client_key_library_free(worker->library);
    transport_free(worker->transport);
}

int worker_run(const struct worker_parts *parts)
{
    struct worker worker = {.parts = parts};
    int r = privileges_keep_only(UINT64_C(1) << CAP_IPC_LOCK);
    if (r == 0)
        r = privileges_lock_memory();
    if (r == 0)
        r = make_lower_parts(&worker);
    if (r == 0) {
        worker.engine = make_engine(&worker);
        worker.session = worker.engine ? make_session(&worker) : NULL;
        r = worker.session ? 0 : -ENOMEM;
    }
    if (r == 0) {
        running_session = worker.session;
        handle_signals();
        r = session_run(worker.session);
        running_session = NULL;
    }
    if (r < 0)
        log_error("worker: %s", strerror(-r));
    free_parts(&worker);
    return r < 0;
}
