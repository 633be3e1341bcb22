#include "fs/supervisor/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/stops.h"
#include "fs/engine/kms_clock.h"
#include "fs/supervisor/handover.h"
#include "fs/supervisor/reload.h"
#include "fs/supervisor/supervisor_state.h"
#include "fs/worker/worker.h"
#include "kmsapi/cleanup.h"

/* How long each step may take; draining on top of what a request to KMS may. */
enum { START_MS = 10000, DRAIN_MS = 3000, END_MS = 3000, SERVE_MS = 10000 };

static void end_standby(struct supervisor *supervisor)
{
    struct upgrade *upgrade = &supervisor->upgrade;
    cleanup_close(&upgrade->link);
    if (upgrade->standby.process > 0) {
        kill(upgrade->standby.process, SIGKILL);
        waitpid(upgrade->standby.process, NULL, 0); /* it waits for nothing that could hold it */
    }
    upgrade->standby.process = 0;
    cleanup_close(&upgrade->config);
}

/* To everybody who waits for it. */
static void send_verdict(struct supervisor *supervisor)
{
    const struct upgrade *upgrade = &supervisor->upgrade;
    request_socket_answer(&supervisor->requests, WORKER_WANTS_UPGRADE, upgrade->verdict, upgrade->reason);
    if (supervisor->link >= 0)
        (void)worker_link_send(supervisor->link, WORKER_VERDICT, upgrade->verdict, "%s", upgrade->reason);
}

/* It came to nothing, and why. Everything is as before. */
static void __attribute__((format(printf, 3, 4)))
give_up(struct supervisor *supervisor, int number, const char *format, ...)
{
    struct upgrade *upgrade = &supervisor->upgrade;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(upgrade->reason, sizeof(upgrade->reason), format, arguments);
    va_end(arguments);
    upgrade->verdict = number;
    log_error("upgrade: %s", upgrade->reason);
    end_standby(supervisor);
    if (upgrade->stage == UPGRADE_DRAINING && supervisor->link >= 0)
        (void)worker_link_send(supervisor->link, WORKER_RESUME, 0, "%s", "");
    upgrade->stage = UPGRADE_NONE;
    send_verdict(supervisor);
}

static void enter(struct supervisor *supervisor, enum upgrade_stage stage, int64_t most_ms)
{
    supervisor->upgrade.stage = stage;
    supervisor->upgrade.until_ms = clock_monotonic_ms() + most_ms;
}

static void fill(const struct supervisor *supervisor, enum handover_role role, int link, struct handover *handover)
{
    handover_begin(handover, role);
    handover->descriptors[HANDOVER_FUSE] = supervisor->mount_point.fuse;
    handover->descriptors[HANDOVER_MEMORY] = supervisor->memory.descriptor;
    handover->descriptors[HANDOVER_PUBLISHER_WORKERS_END] = supervisor->publisher_socket[WORKERS_END];
    handover->descriptors[HANDOVER_RUNNER_WORKERS_END] = supervisor->runner_socket[WORKERS_END];
    handover->descriptors[HANDOVER_LINK] = link;
    handover->descriptors[HANDOVER_CONFIG] = supervisor->upgrade.config;
    handover->descriptors[HANDOVER_STATE_DIRECTORY] = supervisor->parts->state->directory;
    handover->descriptors[HANDOVER_STATE_KEY] = supervisor->parts->state->key;
    if (role == HANDOVER_SUPERVISE) {
        handover->descriptors[HANDOVER_STATE_LOCK] = supervisor->parts->state->lock;
        handover->descriptors[HANDOVER_PUBLISHER_PUBLISHERS_END] = supervisor->publisher_socket[PUBLISHERS_END];
        handover->descriptors[HANDOVER_RUNNER_RUNNERS_END] = supervisor->runner_socket[RUNNERS_END];
        handover->descriptors[HANDOVER_REQUESTS] = supervisor->requests.listening;
        handover->descriptors[HANDOVER_CLIENT] = supervisor->requests.client;
        handover->worker = supervisor->worker.process;
        handover->publisher = supervisor->publisher.process;
        handover->runner = supervisor->runner.process;
    }
    memcpy(handover->state, supervisor->parts->state->path, sizeof(handover->state));
    handover->device = supervisor->mount_point.device;
    handover->to_syslog = supervisor->parts->to_syslog;
    memcpy(handover->mountpoint, supervisor->mount_point.path, sizeof(handover->mountpoint));
    handover->audit = supervisor_config(supervisor)->audit;
    memcpy(handover->region, supervisor_config(supervisor)->region, sizeof(handover->region));
}

/* In the child. Returns when there is no such program. */
static void run_standby(const struct supervisor *supervisor, int link)
{
    struct handover handover;
    fill(supervisor, HANDOVER_STAND_BY, link, &handover);
    if (handover_write(&handover) >= 0)
        execv(supervisor->parts->executable, supervisor->parts->arguments);
}

static void start(struct supervisor *supervisor)
{
    struct upgrade *upgrade = &supervisor->upgrade;
    int pair[2] = {-1, -1}, failed[2];
    if (!supervisor->parts->executable) {
        give_up(supervisor, EOPNOTSUPP, "a mount by --dev keeps nothing; start it anew");
        return;
    }
    if (reload_is_under_way(supervisor)) {
        give_up(supervisor, EBUSY, "a reload is under way; everything is as before, try again");
        return;
    }
    char reason[sizeof(upgrade->reason) - 64];
    upgrade->config = config_copy(supervisor->parts->configurer->file, reason, sizeof(reason));
    if (upgrade->config < 0) {
        int number = -upgrade->config;
        upgrade->config = -1;
        give_up(supervisor, number, "the configuration: %s; everything is as before", reason);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 || pipe2(failed, O_CLOEXEC) < 0) {
        give_up(supervisor, errno, "%s: %s", pair[0] < 0 ? "socket" : "pipe", strerror(errno));
        cleanup_close(&pair[0]);
        cleanup_close(&pair[1]);
        return;
    }
    pid_t process = child_start(&upgrade->standby);
    if (process == 0) {
        run_standby(supervisor, pair[1]);
        int number = errno;
        ssize_t told = write(failed[1], &number, sizeof(number));
        _exit(told > 0 ? 126 : 127);
    }
    close(pair[1]);
    close(failed[1]);
    int number = process < 0 ? (int)-process : 0;
    if (process > 0 && read(failed[0], &number, sizeof(number)) != (ssize_t)sizeof(number))
        number = 0; /* closed by execve: it runs */
    close(failed[0]);
    upgrade->link = pair[0];
    if (number != 0)
        give_up(supervisor, number, "%s cannot be started: %s; everything is as before",
                supervisor->parts->executable, strerror(number));
    else
        enter(supervisor, UPGRADE_STARTING, START_MS);
}

/* A third version may have been installed meanwhile. */
static bool is_same_program(const struct supervisor *supervisor)
{
    struct stat attributes;
    return stat(supervisor->parts->executable, &attributes) == 0 &&
           attributes.st_dev == supervisor->upgrade.program_device && attributes.st_ino == supervisor->upgrade.program;
}

/* The new worker serves: this process replaces itself. Returns only where that fails. */
static void replace_this_process(struct supervisor *supervisor)
{
    struct upgrade *upgrade = &supervisor->upgrade;
    struct handover handover;
    if (upgrade->stage != UPGRADE_TAKING_OVER)
        return;
    upgrade->stage = UPGRADE_NONE;
    fill(supervisor, HANDOVER_SUPERVISE, supervisor->link, &handover);
    int memory = is_same_program(supervisor) ? handover_write(&handover) : -ETXTBSY;
    int number = memory < 0 ? -memory : 0;
    if (memory >= 0) {
        if (supervisor->reload.again) /* it waits for whoever this process is by then */
            kill(getpid(), SIGHUP);
        execv(supervisor->parts->executable, supervisor->parts->arguments);
        number = errno;
        handover_take_back(&handover, memory);
    }
    upgrade->verdict = number;
    snprintf(upgrade->reason, sizeof(upgrade->reason),
             "the worker is the installed program's, the supervisor could not be replaced: %s", strerror(number));
    log_error("upgrade: %s", upgrade->reason);
    send_verdict(supervisor);
}

void upgrade_take_message(struct supervisor *supervisor, const struct worker_message *message)
{
    struct upgrade *upgrade = &supervisor->upgrade;
    switch (message->kind) {
    case WORKER_WANTS_UPGRADE:
        if (upgrade->stage == UPGRADE_NONE) /* else it has asked already: one verdict answers all */
            start(supervisor);
        break;
    case WORKER_AWAITS_VERDICT:
        if (upgrade->stage == UPGRADE_NONE && !upgrade->resumed)
            send_verdict(supervisor);
        break;
    case WORKER_SERVES:
        replace_this_process(supervisor);
        break;
    case WORKER_DRAINED:
        if (upgrade->stage != UPGRADE_DRAINING)
            break;
        stop_here("supervisor-drained");
        enter(supervisor, UPGRADE_LEAVING, END_MS);
        (void)worker_link_send(supervisor->link, WORKER_LEAVE, 0, "%s", "");
        break;
    default:
        break;
    }
}

/* The standby is the worker now. */
static void promote(struct supervisor *supervisor)
{
    struct upgrade *upgrade = &supervisor->upgrade;
    supervisor->link = upgrade->link;
    supervisor->worker.process = upgrade->standby.process;
    supervisor->worker.failures = 0;
    supervisor->memory.head->config++; /* it has read its configuration itself */
    upgrade->link = -1;
    upgrade->standby.process = 0;
}

bool upgrade_worker_ended(struct supervisor *supervisor, int status)
{
    struct upgrade *upgrade = &supervisor->upgrade;
    switch (upgrade->stage) {
    case UPGRADE_NONE:
        return false;
    case UPGRADE_STARTING:
    case UPGRADE_DRAINING:
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return false; /* the mount is gone */
        give_up(supervisor, EIO, "the worker died meanwhile; everything is as before");
        return false;
    case UPGRADE_LEAVING:
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return false;
        promote(supervisor);
        enter(supervisor, UPGRADE_TAKING_OVER, SERVE_MS);
        (void)worker_link_send(supervisor->link, WORKER_GO, 0, "%s", "");
        return true;
    case UPGRADE_TAKING_OVER: /* the new one: the old program goes on */
        give_up(supervisor, EIO, "the installed program stood by and then did not serve (%s %d); everything is as before",
                WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        return false;
    }
    return false;
}

void upgrade_standby_ended(struct supervisor *supervisor, int status)
{
    supervisor->upgrade.standby.process = 0;
    give_up(supervisor, EIO, "the installed program ended (%s %d) before it stood by; everything is as before",
            WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* Which file the standby runs: this process must become the same. */
static void note_program(struct supervisor *supervisor)
{
    char path[64];
    struct stat attributes = {0};
    snprintf(path, sizeof(path), "/proc/%d/exe", supervisor->upgrade.standby.process);
    (void)stat(path, &attributes); /* what cannot be told is no file's number */
    supervisor->upgrade.program_device = attributes.st_dev;
    supervisor->upgrade.program = attributes.st_ino;
}

static void take_standbys_messages(struct supervisor *supervisor)
{
    struct worker_message message;
    while (supervisor->upgrade.link >= 0 && worker_link_receive(supervisor->upgrade.link, &message, NULL) == 0) {
        if (message.kind == WORKER_SAYS)
            log_error("%s", message.text);
        if (message.kind != WORKER_STANDS_BY || supervisor->upgrade.stage != UPGRADE_STARTING)
            continue;
        note_program(supervisor);
        (void)config_copy_seal(supervisor->upgrade.config); /* it was read, and who is named in it looked up */
        enter(supervisor, UPGRADE_DRAINING, (int64_t)supervisor_config(supervisor)->request_timeout_ms + DRAIN_MS);
        (void)worker_link_send(supervisor->link, WORKER_DRAIN, 0, "%s", "");
    }
}

static void out_of_time(struct supervisor *supervisor)
{
    switch (supervisor->upgrade.stage) {
    case UPGRADE_NONE:
        break;
    case UPGRADE_STARTING:
        give_up(supervisor, ETIMEDOUT, "the installed program was not ready within %d s; everything is as before",
                START_MS / 1000);
        break;
    case UPGRADE_DRAINING:
        give_up(supervisor, EBUSY, "what is under way did not end in time; everything is as before, try again");
        break;
    case UPGRADE_LEAVING:
    case UPGRADE_TAKING_OVER: /* its end is the next step, or the step back */
        if (supervisor->worker.process > 0)
            kill(supervisor->worker.process, SIGKILL);
        supervisor->upgrade.until_ms = INT64_MAX;
        break;
    }
}

int64_t upgrade_until_ms(const struct supervisor *supervisor)
{
    return supervisor->upgrade.stage == UPGRADE_NONE ? INT64_MAX : supervisor->upgrade.until_ms;
}

/* The publisher is this version's too: that was the last of it. */
static void finish(struct supervisor *supervisor)
{
    supervisor->upgrade.resumed = false;
    supervisor->upgrade.verdict = 0;
    supervisor->upgrade.reason[0] = '\0';
    log_notice("upgraded: this is version " AAPFS_VERSION);
    send_verdict(supervisor);
}

void upgrade_tend(struct supervisor *supervisor)
{
    take_standbys_messages(supervisor);
    if (supervisor->upgrade.resumed && supervisor->publisher.process > 0 && !supervisor->publisher.replaced)
        finish(supervisor);
    if (clock_monotonic_ms() >= upgrade_until_ms(supervisor))
        out_of_time(supervisor);
}

void upgrade_abandon(struct supervisor *supervisor)
{
    end_standby(supervisor);
    supervisor->upgrade.stage = UPGRADE_NONE;
}
