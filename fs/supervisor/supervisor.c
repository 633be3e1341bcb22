/*
 * The mount belongs to this process: it holds /dev/fuse and the mount memory, and the sockets between the worker and
 * publisher and runner. Any of these may die; it is started again, and goes on.
 */
#include "fs/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "fs/base/log.h"
#include "fs/engine/kms_clock.h"
#include "fs/mount/mount_table.h"
#include "fs/mount/privileges.h"
#include "fs/mount/service_notify.h"
#include "fs/mount/worker_link.h"
#include "fs/supervisor/children.h"
#include "fs/supervisor/handover.h"
#include "fs/supervisor/kept_mount.h"
#include "fs/supervisor/leave.h"
#include "fs/supervisor/reload.h"
#include "fs/supervisor/supervisor_state.h"
#include "fs/supervisor/upgrade.h"
#include "kmsapi/cleanup.h"

/* The kernel sends it when it mounts. */
enum { FIRST_MESSAGE_MS = 5000 };

static int catch_signals(struct supervisor *supervisor)
{
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    sigaddset(&wanted, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &wanted, NULL) < 0)
        return -errno;
    supervisor->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return supervisor->signals < 0 ? -errno : 0;
}

static int make_parts(struct supervisor *supervisor)
{
    int r = privileges_hide_memory();
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, supervisor->publisher_socket) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, supervisor->runner_socket) < 0)
        return -errno;
    r = catch_signals(supervisor);
    if (r == 0)
        r = supervisor_start_runner(supervisor);
    return r < 0 ? r : mount_memory_make(&supervisor->memory);
}

/*
 * The kernel says INIT once, to whoever reads first: kept, so that every worker is given the same bytes. It
 * waits in the queue from the moment of mounting.
 */
static int read_init(struct supervisor *supervisor)
{
    struct mount_head *head = supervisor->memory.head;
    union {
        struct fuse_in_header header;
        unsigned char bytes[FUSE_MIN_READ_BUFFER];
    } message;
    ssize_t size;
    struct pollfd polled = {.fd = supervisor->mount_point.fuse, .events = POLLIN};
    int r = poll(&polled, 1, FIRST_MESSAGE_MS);
    if (r <= 0)
        return r < 0 ? -errno : -ETIMEDOUT; /* a lent mount that another daemon has served */
    do
        size = read(supervisor->mount_point.fuse, &message, sizeof(message));
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return -errno;
    if (size < (ssize_t)sizeof(message.header) || message.header.opcode != FUSE_INIT || size > MOUNT_MEMORY_INIT_SIZE)
        return -EPROTO;
    memcpy(head->init, &message, (size_t)size);
    head->init_size = (uint32_t)size;
    head->requests[FUSE_INIT]++;
    int flags = fcntl(supervisor->mount_point.fuse, F_GETFL);
    return flags < 0 || fcntl(supervisor->mount_point.fuse, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

/*
 * The group of whoever started a background mount. Under autofs it is the automounter's, and none but its members pass the
 * mount point before the starter has returned; after that its members would pass where others wait, and hear its signals.
 */
static void leave_group(struct supervisor *supervisor)
{
    child_leave_group(&supervisor->runner);
    child_leave_group(&supervisor->publisher);
    child_leave_group(&supervisor->worker);
    if (setsid() < 0)
        log_error("setsid: %s", strerror(errno));
}

/* A memory that says that it was served says nothing about now. The first listing is waited for, for a while. */
static void tell_ready(struct supervisor *supervisor)
{
    if (supervisor->told_ready || !supervisor->serves ||
        (!supervisor->listed && clock_monotonic_ms() < supervisor->ready_until_ms))
        return;
    supervisor->told_ready = true;
    if (supervisor->parts->ready >= 0)
        leave_group(supervisor);
    if (supervisor->parts->ready >= 0 && write(supervisor->parts->ready, "r", 1) < 0)
        log_error("ready: %s", strerror(errno));
    int r = service_notify_ready();
    if (r < 0)
        log_error("NOTIFY_SOCKET: %s", strerror(-r));
}

/*
 * Whether a worker that ended with STATUS shows that none will ever serve, before any has: one that ends by itself finds
 * the configuration wrong; those that crash, one after the other, the memory or the program.
 */
static bool is_hopeless(struct supervisor *supervisor, int status)
{
    struct mount_head *head = supervisor->memory.head;
    if (supervisor->went_on ? supervisor->serves : head->served)
        return false;
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        head->crashes++;
    return WIFEXITED(status) || head->crashes >= MOUNT_MEMORY_CRASHES_MOST;
}

/*
 * A worker ends well only when the mount is gone. Where none will serve this process ends, so that somebody hears of it:
 * another run's mount waits for a better configuration, or the next run makes it anew (kept_mount.h).
 */
static void worker_ended(struct supervisor *supervisor, int status)
{
    cleanup_close(&supervisor->link);
    reload_worker_ended(supervisor);
    if (!supervisor->leaving && upgrade_worker_ended(supervisor, status))
        return;
    if (supervisor->leaving || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        supervisor->worker.process = 0;
        if (!supervisor->leaving && supervisor_was_aborted(&supervisor->mount_point))
            supervisor->status = 1; /* for Restart=on-failure */
        supervisor_leave(supervisor);
        return;
    }
    if (is_hopeless(supervisor, status)) {
        supervisor->worker.process = 0;
        supervisor->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        if (WIFSIGNALED(status))
            log_error("%s: %s was killed by signal %d before it served, again and again", supervisor->mount_point.path,
                      supervisor->worker.name, WTERMSIG(status));
        if (supervisor->went_on && supervisor->kept)
            supervisor_leave_it_kept(supervisor);
        else
            supervisor_leave(supervisor);
        return;
    }
    supervisor->memory.head->worker_restarts++;
    supervisor->memory.head->worker_was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    child_ended(&supervisor->worker, status, supervisor->memory.head->answered != supervisor->answered_before);
}

static void helper_ended(struct supervisor *supervisor, struct child *helper, int status, bool useful)
{
    if (supervisor->leaving)
        helper->process = 0;
    if (helper == &supervisor->publisher)
        supervisor->memory.head->publisher_lives = false;
    if (supervisor->keeping && helper == &supervisor->publisher)
        supervisor_go_on_leaving(supervisor);
    if (!supervisor->leaving)
        child_ended(helper, status, useful);
}

static void take_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;
    while (read(supervisor->signals, &info, sizeof(info)) == sizeof(info))
        if (info.ssi_signo == SIGTERM && supervisor->kept)
            supervisor_leave_it_kept(supervisor);
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            supervisor_leave(supervisor);
        else if (info.ssi_signo == SIGHUP && !supervisor->leaving)
            reload_take_signal(supervisor);
    pid_t process;
    int status;
    while ((process = waitpid(-1, &status, WNOHANG)) > 0) {
        if (process == supervisor->worker.process)
            worker_ended(supervisor, status);
        else if (process == supervisor->upgrade.standby.process)
            upgrade_standby_ended(supervisor, status);
        else if (process == supervisor->reload.reader.process)
            supervisor->reload.reader.process = 0;
        else if (process == supervisor->publisher.process)
            helper_ended(supervisor, &supervisor->publisher, status,
                         supervisor->memory.head->published != supervisor->published_before);
        else if (process == supervisor->runner.process)
            helper_ended(supervisor, &supervisor->runner, status,
                         supervisor->memory.head->ran != supervisor->ran_before);
    }
}

static void take_messages(struct supervisor *supervisor)
{
    struct worker_message message;
    while (supervisor->link >= 0 && worker_link_receive(supervisor->link, &message, NULL) == 0) {
        if (message.kind == WORKER_SERVES) {
            supervisor->serves = true;
            supervisor->memory.head->crashes = 0;
        }
        if (message.kind == WORKER_LISTED)
            supervisor->listed = true;
        else if (message.kind == WORKER_SAYS)
            log_error("%s", message.text);
        else if (message.kind == WORKER_WANTS_RELOAD || message.kind == WORKER_RELOADED)
            reload_take_message(supervisor, &message);
        else if (supervisor->keeping && message.kind == WORKER_DRAINED)
            supervisor_go_on_leaving(supervisor);
        else
            upgrade_take_message(supervisor, &message);
    }
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int time_left(const struct supervisor *supervisor)
{
    int64_t until_ms = INT64_MAX;
    if (supervisor->leaving) {
        until_ms = supervisor->leave_until_ms;
    } else {
        if (!supervisor->told_ready && supervisor->serves)
            until_ms = supervisor->ready_until_ms;
        until_ms = sooner(until_ms, upgrade_until_ms(supervisor));
        until_ms = sooner(until_ms, reload_until_ms(supervisor));
        if (supervisor->runner.process == 0)
            until_ms = sooner(until_ms, supervisor->runner.start_ms);
        if (supervisor->publisher.process == 0)
            until_ms = sooner(until_ms, supervisor->publisher.start_ms);
        if (supervisor->worker.process == 0 && supervisor->upgrade.stage != UPGRADE_TAKING_OVER)
            until_ms = sooner(until_ms, supervisor->worker.start_ms);
    }
    if (until_ms == INT64_MAX)
        return -1;
    int64_t left_ms = until_ms - clock_monotonic_ms();
    return left_ms < 0 ? 0 : (int)left_ms;
}

/* A read-only mount's: nobody can write its control. */
static void hear_requests(struct supervisor *supervisor)
{
    if (!mount_table_at(supervisor->mount_point.path).read_only)
        return;
    int r = request_socket_open(&supervisor->requests, supervisor->parts->state->directory);
    if (r < 0)
        log_warning("%s: aapfs reload and upgrade will not reach this mount: %s", supervisor->parts->state->path,
                    strerror(-r));
}

static void take_requests(struct supervisor *supervisor)
{
    enum worker_message_kind wanted = request_socket_take(&supervisor->requests);
    const struct worker_message message = {.kind = wanted};
    if (wanted == WORKER_WANTS_UPGRADE)
        upgrade_take_message(supervisor, &message);
    else if (wanted == WORKER_WANTS_RELOAD)
        reload_take_request(supervisor, false);
}

static void watch(struct supervisor *supervisor)
{
    while (!supervisor->leaving || supervisor->worker.process > 0) {
        if (!supervisor->leaving) {
            supervisor_start_what_is_due(supervisor);
            upgrade_tend(supervisor);
            reload_tend(supervisor);
        }
        bool alone = supervisor->worker.process == 0;
        struct pollfd polled[] = {
            {.fd = supervisor->signals, .events = POLLIN},
            {.fd = supervisor->link, .events = POLLIN},
            /* without a worker nobody else hears that the mount is gone */
            {.fd = alone ? supervisor->mount_point.fuse : -1},
            {.fd = supervisor->upgrade.link, .events = POLLIN},
            {.fd = supervisor->reload.answer, .events = POLLIN},
            {.fd = request_socket_polled(&supervisor->requests), .events = POLLIN},
        };
        if (poll(polled, 6, time_left(supervisor)) < 0 && errno != EINTR)
            break;
        take_messages(supervisor);
        take_signals(supervisor);
        if (!supervisor->leaving)
            take_requests(supervisor);
        if (alone && polled[2].revents & POLLERR)
            supervisor_leave(supervisor);
        if (supervisor->leaving)
            supervisor_hurry(supervisor);
        else
            tell_ready(supervisor);
    }
}

static void begin(struct supervisor *supervisor, const struct supervisor_parts *parts)
{
    *supervisor = (struct supervisor){
        .parts = parts,
        .signals = -1, .link = -1, .publisher_socket = {-1, -1}, .runner_socket = {-1, -1},
        .memory = {.descriptor = -1}, .mount_point = {.fuse = -1},
        .publisher = {.name = "aapfs-publisher"}, .runner = {.name = "aapfs-runner"}, .worker = {.name = "aapfs-worker"},
        .requests = {.listening = -1, .client = -1},
        .reload = {.reader = {.name = "aapfs-reader"}, .copy = -1, .answer = -1},
        .upgrade = {.link = -1, .config = -1, .standby = {.name = "aapfs-worker"},
                    /* for a worker that inherits a write which was never asked for here */
                    .verdict = EIO,
                    .reason = "the worker died before it had asked; everything is as before"},
    };
}

static struct kept_mount kept_mount(struct supervisor *supervisor)
{
    return (struct kept_mount){
        .mountpoint = supervisor->parts->mountpoint,
        .region = supervisor_config(supervisor)->region,
        .state = supervisor->parts->state->path,
        .mount_point = &supervisor->mount_point, .memory = &supervisor->memory,
    };
}

static void give_to_keep(struct supervisor *supervisor)
{
    if (supervisor->parts->lent >= 0)
        return; /* whose it is keeps it */
    const struct kept_mount kept = kept_mount(supervisor);
    supervisor->kept = kept_mount_give(&kept);
}

/* 0; or negative errno after a line. */
static int mount_anew(struct supervisor *supervisor)
{
    const struct supervisor_parts *parts = supervisor->parts;
    struct mount_point *mount_point = &supervisor->mount_point;
    char reason[512];
    if (parts->lent < 0 && kept_mount_is_wanted())
        mount_point_make(parts->mountpoint); /* after all that a mount without a daemon could be at */
    int r = parts->lent < 0
                ? mount_point_mount(mount_point, parts->mountpoint, parts->options, reason, sizeof(reason))
                : mount_point_take(mount_point, parts->lent, parts->mountpoint, reason, sizeof(reason));
    return r < 0 ? log_failure(r, "%s", reason) : 0;
}

int supervisor_run(const struct supervisor_parts *parts)
{
    struct supervisor supervisor;
    begin(&supervisor, parts);
    if (kept_mount_is_wanted()) /* a service */
        supervisor_begin_log(parts);
    int r = make_parts(&supervisor);
    if (r < 0) {
        log_error("start: %s", strerror(-r));
    } else {
        const struct kept_mount kept = kept_mount(&supervisor);
        supervisor.went_on = parts->lent < 0 && kept_mount_take(&kept);
        r = supervisor.went_on ? 0 : mount_anew(&supervisor);
    }
    if (r < 0) {
        supervisor_end_runner(&supervisor);
        return 1;
    }
    supervisor.ready_until_ms = clock_monotonic_ms() + parts->first_listing_timeout_ms;
    r = supervisor.went_on ? 0 : read_init(&supervisor);
    if (r < 0) {
        log_error("%s: the kernel's first message: %s%s", parts->mountpoint, strerror(-r),
                  r == -ETIMEDOUT && parts->lent >= 0 ? "; another daemon has served this mount, and it is lost: start "
                                                        "with-mount again" : "");
        supervisor.status = 1;
        supervisor_leave(&supervisor);
    } else {
        if (!supervisor.went_on)
            supervisor_begin_log(parts);
        give_to_keep(&supervisor);
        hear_requests(&supervisor);
    }
    watch(&supervisor);
    return supervisor_end_all(&supervisor);
}

int supervisor_resume(const struct supervisor_parts *parts, const struct handover *handover)
{
    struct supervisor supervisor;
    const int32_t *descriptors = handover->descriptors;
    begin(&supervisor, parts);
    supervisor.mount_point.fuse = descriptors[HANDOVER_FUSE];
    supervisor.mount_point.device = (dev_t)handover->device;
    supervisor.mount_point.lent = parts->lent >= 0;
    memcpy(supervisor.mount_point.path, handover->mountpoint, sizeof(supervisor.mount_point.path));
    supervisor.publisher_socket[WORKERS_END] = descriptors[HANDOVER_PUBLISHER_WORKERS_END];
    supervisor.publisher_socket[PUBLISHERS_END] = descriptors[HANDOVER_PUBLISHER_PUBLISHERS_END];
    supervisor.runner_socket[WORKERS_END] = descriptors[HANDOVER_RUNNER_WORKERS_END];
    supervisor.runner_socket[RUNNERS_END] = descriptors[HANDOVER_RUNNER_RUNNERS_END];
    supervisor.link = descriptors[HANDOVER_LINK];
    supervisor.requests = (struct request_socket){descriptors[HANDOVER_REQUESTS], descriptors[HANDOVER_CLIENT],
                                                  WORKER_WANTS_UPGRADE};
    supervisor.worker.process = handover->worker;
    supervisor.publisher.process = handover->publisher;
    supervisor.runner.process = handover->runner;
    supervisor.told_ready = supervisor.serves = true;
    if (descriptors[HANDOVER_CONFIG] >= 0)
        close(descriptors[HANDOVER_CONFIG]); /* it has been read */
    int r = mount_memory_map_head(&supervisor.memory, descriptors[HANDOVER_MEMORY]);
    if (r == 0)
        r = privileges_hide_memory();
    if (r == 0)
        r = catch_signals(&supervisor);
    if (r < 0)
        return log_failure(1, "the mount cannot be taken over: %s", strerror(-r));
    supervisor.answered_before = supervisor.memory.head->answered;
    supervisor.publisher.replaced = true; /* it is the version before */
    if (supervisor.publisher.process > 0)
        kill(supervisor.publisher.process, SIGKILL);
    supervisor_retire_runner(&supervisor);
    supervisor.upgrade.resumed = true;
    give_to_keep(&supervisor);
    watch(&supervisor);
    return supervisor_end_all(&supervisor);
}
