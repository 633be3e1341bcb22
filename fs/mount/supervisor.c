#include "fs/mount/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/keys/clock.h"
#include "fs/log.h"
#include "fs/mount/privileges.h"
#include "fs/mount/service_notify.h"
#include "fs/mount/mount_memory.h"
#include "fs/mount/mount_point.h"
#include "fs/mount/publisher.h"
#include "fs/mount/worker.h"
#include "kmsapi/cleanup.h"

/* How long a worker may take to end after the mount is gone, before it is told to. */
enum { LEAVE_MS = 2000 };

struct supervisor {
    const struct supervisor_parts *parts;
    struct mount_point mount_point;
    struct mount_memory memory;
    int signals;           /* signalfd */
    int publisher_socket[2];
    int ready[2];          /* pipe from the worker */
    pid_t publisher, worker;
    bool told_ready, leaving;
    int64_t ready_until_ms, leave_until_ms;
    int status;            /* exit status */
};

static void close_both(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0)
            close(pair[i]);
        pair[i] = -1;
    }
}

/* A child with a name of its own, which does not outlive its supervisor. 0 in the child. */
static pid_t fork_child(const char *name)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_NAME, name);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(1);
    }
    return child;
}

static int start_publisher(struct supervisor *supervisor)
{
    supervisor->publisher = fork_child("aapfs-publisher");
    if (supervisor->publisher < 0)
        return -errno;
    if (supervisor->publisher > 0)
        return 0;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_IGN); /* ^C reaches the supervisor, which unmounts first */
    close(supervisor->signals);
    close(supervisor->publisher_socket[0]);
    close_both(supervisor->ready);
    mount_memory_drop(&supervisor->memory);
    _exit(publisher_run(supervisor->publisher_socket[1], supervisor->mount_point.path,
                        supervisor->mount_point.device, supervisor->mount_point.fuse));
}

static int start_worker(struct supervisor *supervisor)
{
    supervisor->worker = fork_child("aapfs-worker");
    if (supervisor->worker < 0)
        return -errno;
    if (supervisor->worker > 0)
        return 0;
    close(supervisor->signals);
    close(supervisor->publisher_socket[1]);
    close(supervisor->ready[0]);
    const struct worker_parts parts = {
        .config = supervisor->parts->config,
        .mount_point = &supervisor->mount_point,
        .memory = &supervisor->memory,
        .publisher = supervisor->publisher_socket[0],
        .ready = supervisor->ready[1],
        .credentials = supervisor->parts->credentials,
    };
    /* exit, not _exit: sanitizers report at exit; this is the end of the child's main */
    exit(worker_run(&parts));
}

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
        pipe2(supervisor->ready, O_CLOEXEC) < 0)
        return -errno;
    r = mount_memory_make(&supervisor->memory);
    return r < 0 ? r : catch_signals(supervisor);
}

static void tell_ready(struct supervisor *supervisor)
{
    if (supervisor->told_ready)
        return;
    supervisor->told_ready = true;
    if (supervisor->parts->ready >= 0 && write(supervisor->parts->ready, "r", 1) < 0)
        log_error("ready: %s", strerror(errno));
    int r = service_notify_ready();
    if (r < 0)
        log_error("NOTIFY_SOCKET: %s", strerror(-r));
}

static void leave(struct supervisor *supervisor)
{
    if (supervisor->leaving)
        return;
    supervisor->leaving = true;
    supervisor->leave_until_ms = clock_monotonic_ms() + LEAVE_MS;
    int r = mount_point_unmount(&supervisor->mount_point);
    if (r < 0) {
        log_error("%s: cannot unmount: %s", supervisor->mount_point.path, strerror(-r));
        supervisor->status = 1;
    }
}

/* What a child's end means: only a worker that saw the mount go ends well. */
static void child_ended(struct supervisor *supervisor, pid_t child, int status)
{
    bool is_worker = child == supervisor->worker;
    if (is_worker)
        supervisor->worker = 0;
    else if (child == supervisor->publisher)
        supervisor->publisher = 0;
    else
        return;
    if (is_worker && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    if (!supervisor->leaving) {
        if (WIFSIGNALED(status))
            log_error("the %s was killed by signal %d; unmounting",
                      is_worker ? "worker" : "publisher", WTERMSIG(status));
        supervisor->status = 1;
    }
    leave(supervisor);
}

static void take_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;
    while (read(supervisor->signals, &info, sizeof(info)) == sizeof(info))
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            leave(supervisor);
    pid_t child;
    int status;
    while ((child = waitpid(-1, &status, WNOHANG)) > 0)
        child_ended(supervisor, child, status);
}

static int time_left(const struct supervisor *supervisor)
{
    int64_t until_ms = supervisor->leaving       ? supervisor->leave_until_ms
                       : !supervisor->told_ready ? supervisor->ready_until_ms
                                                 : INT64_MAX;
    if (until_ms == INT64_MAX)
        return -1;
    int64_t left_ms = until_ms - clock_monotonic_ms();
    return left_ms < 0 ? 0 : (int)left_ms;
}

/* A lazily detached mount lives on in those who use it; the worker does not wait for them. */
static void hurry(struct supervisor *supervisor)
{
    if (clock_monotonic_ms() < supervisor->leave_until_ms)
        return;
    kill(supervisor->worker, SIGTERM);
    supervisor->leave_until_ms = INT64_MAX;
}

static void watch(struct supervisor *supervisor)
{
    while (supervisor->worker > 0) {
        struct pollfd polled[] = {
            {.fd = supervisor->signals, .events = POLLIN},
            {.fd = supervisor->told_ready ? -1 : supervisor->ready[0], .events = POLLIN},
        };
        if (poll(polled, 2, time_left(supervisor)) < 0 && errno != EINTR)
            break;
        take_signals(supervisor);
        if (polled[1].revents & POLLIN || clock_monotonic_ms() >= supervisor->ready_until_ms)
            tell_ready(supervisor);
        if (supervisor->leaving && supervisor->worker > 0)
            hurry(supervisor);
    }
}

static void end_publisher(struct supervisor *supervisor)
{
    close_both(supervisor->publisher_socket);
    if (supervisor->publisher > 0) {
        kill(supervisor->publisher, SIGTERM);
        waitpid(supervisor->publisher, NULL, 0);
    }
}

int supervisor_run(const struct supervisor_parts *parts)
{
    struct supervisor supervisor = {
        .parts = parts,
        .signals = -1,
        .publisher_socket = {-1, -1},
        .ready = {-1, -1},
        .memory = {.descriptor = -1},
        .mount_point = {.fuse = -1},
    };
    char reason[512];
    int r = make_parts(&supervisor);
    if (r < 0) {
        log_error("start: %s", strerror(-r));
        return 1;
    }
    r = mount_point_mount(&supervisor.mount_point, parts->mountpoint, parts->options, reason,
                          sizeof(reason));
    if (r < 0) {
        log_error("%s", reason);
        return 1;
    }
    supervisor.ready_until_ms = clock_monotonic_ms() + parts->first_listing_timeout_ms;
    r = start_publisher(&supervisor);
    if (r == 0)
        r = start_worker(&supervisor);
    if (r < 0) {
        log_error("fork: %s", strerror(-r));
        supervisor.status = 1;
    }
    /* the worker must be the last to hold the connection: then it goes when the worker goes */
    close(supervisor.mount_point.fuse);
    close(supervisor.ready[1]);
    supervisor.ready[1] = -1;
    watch(&supervisor);
    leave(&supervisor);
    end_publisher(&supervisor);
    close_both(supervisor.ready);
    close(supervisor.signals);
    mount_memory_drop(&supervisor.memory);
    return supervisor.status;
}
