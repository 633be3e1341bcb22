#include "fs/worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>

#include "fs/base/log.h"
#include "fs/loop/loop.h"
#include "fs/mount/privileges.h"
#include "fs/mount/receive_slots.h"
#include "fs/mount/worker_link.h"
#include "fs/publisher/publication.h"
#include "fs/runner/configured_credentials.h"
#include "fs/runner/credential_runs.h"
#include "fs/runner/runs.h"
#include "fs/worker/audit_log.h"
#include "fs/worker/caller.h"
#include "fs/worker/engine_host.h"
#include "fs/worker/pending.h"
#include "fs/worker/session.h"
#include "kmsapi/client_key.h"
#include "kmsapi/credentials/source.h"
#include "kmsapi/transport.h"

/* For the signal handler: one worker a process. */
static struct session *volatile running_session;

static void stop_running_session(int signal_number)
{
    if (running_session)
        session_stop(running_session);
}

static int get_given_credentials(void *user, struct credentials *credentials, char *reason, size_t size)
{
    const struct worker *worker = user;
    return credentials_copy(worker->parts->credentials, credentials);
}

static void wake_up_transport(void *user)
{
    const struct worker *worker = user;
    transport_wake_up(worker->transport);
}

static void describe_credentials(void *user, char *text, size_t size)
{
    const struct worker *worker = user;
    text[0] = '\0';
    if (worker->credentials)
        credentials_source_describe(worker->credentials, text, size);
}

static void __attribute__((format(printf, 2, 3))) say(void *user, const char *format, ...)
{
    const struct worker *worker = user;
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    (void)worker_link_send(worker->parts->link, WORKER_SAYS, 0, "%s", line);
}

static int make_credentials(struct worker *worker)
{
    char reason[256] = "memory is short";
    worker->credential_runs = credential_runs_new(worker->parts->runner, worker->parts->mount_point->path);
    const struct credentials_source_options options =
        configured_credentials(worker->parts->config, worker->credential_runs);
    int r = worker->credential_runs ? credentials_source_new(&options, &worker->credentials, reason, sizeof(reason))
                                    : -ENOMEM;
    return r < 0 ? log_failure(r, "credentials: %s", reason) : 0;
}

/* What needs nothing of the mount. */
static int make_tools(struct worker *worker)
{
    char reason[256] = "memory is short";
    bool given = worker->parts->credentials;
    int r = given ? 0 : make_credentials(worker);
    if (r < 0)
        return r;
    const struct transport_options options = {
        .endpoint = worker->parts->config->endpoint,
        .ca_file = worker->parts->config->ca_file[0] ? worker->parts->config->ca_file : NULL,
        .proxy = worker->parts->config->proxy,
        .user_agent = "aapfs/" AAPFS_VERSION,
        .get_credentials = given ? get_given_credentials : credentials_source_get,
        .credentials_refused = given ? NULL : credentials_source_refused,
        .get_credentials_user = given ? (void *)worker : worker->credentials,
    };
    r = transport_new(&options, &worker->transport, reason, sizeof(reason));
    if (r < 0)
        return log_failure(r, "endpoint: %s", reason);
    if (!given)
        credentials_source_on_change(worker->credentials, wake_up_transport, worker);
    worker->library = client_key_library_new(true);
    return worker->library ? 0 : log_failure(-ENOENT, "OpenSSL: its default provider cannot be loaded");
}

/* What is built on what the worker before has left. */
static int make_lower_parts(struct worker *worker)
{
    struct numbers *numbers = numbers_open(worker->memory.numbers);
    if (!numbers)
        return log_failure(-EPROTO, "the mount memory makes no sense");
    worker->registry = registry_new(numbers);
    worker->counters = counters_open(worker->memory.counters);
    worker->slots = receive_slots_new(worker->memory.slots);
    worker->pending = worker->slots ? pending_new(worker->slots) : NULL;
    if (worker->registry)
        worker->publications = publications_new(worker->registry, worker->parts->publisher, worker->memory.head,
                                                worker->parts->mount_point->fuse, worker->parts->config->settle_ms);
    worker->runs = runs_new(worker->parts->runner, worker->parts->mount_point->path, worker->memory.head);
    return worker->publications && worker->runs && worker->pending ? 0 : -ENOMEM;
}

/* A lent mount's pid numbers are those of where it was made, which is the host or here. */
static bool sees_pids(const struct worker *worker)
{
    return !worker->parts->mount_point->lent || !caller_can_be_elsewhere();
}

/*
 * With idmapped binds the kernel names no caller's user any more, and /proc must. The mount's pid numbers are those of where
 * it was made: a lent one's mean nothing here. A caller outside of this pid namespace has none; that costs a repeated write
 * its result, and an audited mount its sense.
 */
static bool may_allow_idmap(const struct worker *worker)
{
    return geteuid() == 0 && !worker->parts->mount_point->lent && caller_can_be_looked_up() &&
           (!worker->audit_log || !caller_can_be_elsewhere());
}

static struct session *make_session(struct worker *worker)
{
    const struct worker_parts *parts = worker->parts;
    const struct session_parts session = {
        .registry = worker->registry, .publications = worker->publications, .pending = worker->pending,
        .slots = worker->slots, .memory = &worker->memory,
        .owner = {geteuid(), getegid(), worker->memory.head->mounted_ns},
        .settle_ms = parts->config->settle_ms,
        .region = parts->config->region, .endpoint = parts->config->endpoint,
        .mountpoint = parts->mount_point->path, .state = parts->state->path,
        .sync_interval_seconds = parts->config->sync_interval_ms / 1000,
        .describe_credentials = describe_credentials,
        .audit = worker->audit, .audit_log = worker->audit_log,
        .sees_pids = sees_pids(worker), .allow_idmap = may_allow_idmap(worker),
        .say = say, .user = worker,
    };
    return session_new(&session, parts->mount_point->fuse);
}

static void free_parts(struct worker *worker)
{
    if (worker->pending && atomic_load(&worker->leaving))
        pending_leave(worker->pending);
    loop_stop(worker->engine);
    pending_free(worker->pending);
    session_free(worker->session);
    audit_log_stop(worker->audit_log);
    runs_free(worker->runs);
    publications_free(worker->publications);
    registry_free(worker->registry);
    receive_slots_free(worker->slots);
    client_key_library_free(worker->library);
    credential_runs_stop(worker->credential_runs);
    credentials_source_free(worker->credentials);
    credential_runs_free(worker->credential_runs);
    transport_free(worker->transport);
    mount_memory_drop(&worker->memory);
    if (worker->reloaded)
        config_clear(worker->reloaded);
    free(worker->reloaded);
}

static int prepare(struct worker *worker)
{
    int r = mount_memory_map(&worker->memory, worker->parts->memory);
    if (r < 0)
        log_error("the mount memory: %s", r == -EPROTO ? "another version's, or damaged" : strerror(-r));
    if (r == 0)
        r = privileges_keep_only(UINT64_C(1) << CAP_IPC_LOCK);
    if (r == 0)
        r = privileges_lock_memory();
    return r < 0 ? r : make_tools(worker);
}

/* 0 when the one before is gone; -ECANCELED when it stays. */
static int stand_by(struct worker *worker)
{
    int link = worker->parts->link;
    struct worker_message message;
    int r = session_try(&worker->memory, worker->parts->mount_point->fuse);
    if (r < 0)
        return log_failure(r, "the installed version would serve this mount differently from the running one; umount and "
                              "mount again");
    r = worker_link_send(link, WORKER_STANDS_BY, 0, "%s", "");
    while (r == 0 || r == -EAGAIN) {
        struct pollfd polled = {.fd = link, .events = POLLIN};
        if (poll(&polled, 1, -1) < 0 && errno != EINTR)
            return -errno;
        r = worker_link_receive(link, &message, NULL);
        if (r == 0 && message.kind == WORKER_GO)
            return 0;
    }
    return r == -EPIPE ? -ECANCELED : r;
}

/* The kernel asks about opens always or never again: the first worker's word holds for the mount's life. */
static int start_audit(struct worker *worker)
{
    struct mount_head *head = worker->memory.head;
    bool wanted = worker->parts->config->audit;
    if (head->audit == MOUNT_AUDIT_UNKNOWN)
        head->audit = wanted ? MOUNT_AUDIT_YES : MOUNT_AUDIT_NO;
    bool audited = head->audit == MOUNT_AUDIT_YES;
    if (audited != wanted)
        log_warning("audit: stays %s as long as this mount lives; umount and mount again", audited ? "yes" : "no");
    if (!audited)
        return 0;
    if (!head->served && caller_can_be_elsewhere())
        log_warning("audit: this is a pid namespace of its own: who opens a key from outside of it is told without its program%s; run "
                    "aapfs in the host's", sees_pids(worker) ? ", and with pid 0" : "");
    worker->audit = audit_open(worker->memory.audit);
    worker->audit_log = audit_log_start(worker->audit);
    return worker->audit_log ? 0 : -ENOMEM;
}

static int serve(struct worker *worker)
{
    int r = make_lower_parts(worker);
    if (r == 0)
        r = start_audit(worker);
    if (r < 0)
        return r;
    worker->session = make_session(worker);
    worker->engine = worker->session ? engine_host_start(worker) : NULL;
    if (!worker->engine)
        return -ENOMEM;
    session_set_engine(worker->session, worker->engine);
    r = session_agree(worker->session);
    if (r < 0)
        return log_failure(r, "this version and the mount's first worker agree with the kernel on different things");
    running_session = worker->session;
    const struct sigaction stop = {.sa_handler = stop_running_session};
    sigaction(SIGTERM, &stop, NULL);
    session_take_over(worker->session);
    (void)worker_link_send(worker->parts->link, WORKER_SERVES, 0, "%s", "");
    r = session_run(worker->session);
    running_session = NULL;
    return r;
}

int worker_run(const struct worker_parts *parts)
{
    struct worker worker = {.parts = parts, .memory = {.descriptor = -1}};
    int r = prepare(&worker);
    if (r == 0 && parts->stand_by)
        r = stand_by(&worker);
    if (r == 0)
        r = serve(&worker);
    if (r < 0 && r != -ECANCELED)
        log_error("worker: %s", strerror(-r));
    bool left = r == SESSION_STOPPED && atomic_load(&worker.leaving);
    free_parts(&worker);
    return r == SESSION_UNMOUNTED ? 0 : left ? WORKER_LEFT : 1;
}
