#include "fs/supervisor/leave.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/kernel_calls.h"
#include "fs/base/log.h"
#include "fs/engine/kms_clock.h"
#include "fs/mount/service_notify.h"
#include "fs/mount/worker_link.h"
#include "fs/supervisor/kept_mount.h"
#include "fs/supervisor/reload.h"
#include "fs/supervisor/upgrade.h"
#include "kmsapi/cleanup.h"

enum {
    LEAVE_MS = 2000,  /* for a worker to end after the mount is gone: then it is told to, and then it is killed */
    END_MS = 5000,    /* for the rest, when the worker has ended */
    RETIRE_MS = 1000, /* for a runner that has nothing to do */
    ABORT_LOOKS = 25, ABORT_NS = 20000000, /* half a second for umount -f to unmount what it has aborted */
};

/* The worker is waited for, and so does the service manager: killed, it would lose the key that KMS is making. */
static void wait_to_leave(struct supervisor *supervisor, int64_t ms)
{
    supervisor->leave_until_ms = clock_monotonic_ms() + ms;
    (void)service_notify_wait(ms + END_MS); /* a manager that does not hear it goes by its own limit */
}

void supervisor_leave(struct supervisor *supervisor)
{
    if (supervisor->leaving)
        return;
    supervisor->leaving = true;
    upgrade_abandon(supervisor);
    supervisor->leave_signal = SIGTERM;
    /* of a lent mount the worker hears no end */
    wait_to_leave(supervisor, supervisor->mount_point.lent ? 0 : LEAVE_MS);
    /* while somebody answers what it waits for: it could not end otherwise */
    if (supervisor->publisher.process > 0)
        kill(supervisor->publisher.process, SIGKILL);
    if (supervisor->kept)
        kept_mount_forget();
    int r = mount_point_unmount(&supervisor->mount_point);
    if (r < 0) {
        log_error("%s: cannot unmount: %s", supervisor->mount_point.path, strerror(-r));
        supervisor->status = 1;
    }
}

void supervisor_leave_it_kept(struct supervisor *supervisor)
{
    if (supervisor->leaving)
        return;
    supervisor->leaving = supervisor->keeping = true;
    upgrade_abandon(supervisor);
    supervisor->leave_signal = SIGTERM;
    wait_to_leave(supervisor, (int64_t)supervisor_config(supervisor)->request_timeout_ms + LEAVE_MS);
    if (supervisor->link >= 0)
        (void)worker_link_send(supervisor->link, WORKER_DRAIN, 0, "%s", "");
}

void supervisor_go_on_leaving(struct supervisor *supervisor)
{
    if (supervisor->publisher.process > 0)
        kill(supervisor->publisher.process, SIGKILL);
    else if (supervisor->link >= 0)
        (void)worker_link_send(supervisor->link, WORKER_LEAVE, 0, "%s", "");
}

bool supervisor_was_aborted(const struct mount_point *mount_point)
{
    static const struct timespec while_it_goes = {.tv_nsec = ABORT_NS};
    char path[MOUNT_POINT_PATH_SIZE];
    for (int i = 0; i < ABORT_LOOKS; i++) {
        if (!mount_point_find(mount_point, path))
            return false;
        nanosleep(&while_it_goes, NULL);
    }
    log_error("%s: it was aborted from outside (umount -f in a container, or /sys/fs/fuse/connections): it is dead, and "
              "this process ends", path);
    return true;
}

void supervisor_hurry(struct supervisor *supervisor)
{
    if (supervisor->worker.process <= 0 || clock_monotonic_ms() < supervisor->leave_until_ms)
        return;
    kill(supervisor->worker.process, supervisor->leave_signal);
    supervisor->leave_signal = SIGKILL;
    /* it may still wait for a key that KMS is making */
    wait_to_leave(supervisor, (int64_t)supervisor_config(supervisor)->request_timeout_ms + 2 * LEAVE_MS);
}

void supervisor_retire_runner(struct supervisor *supervisor)
{
    pid_t process = supervisor->runner.process;
    if (process <= 0)
        return;
    supervisor->runner.replaced = true;
    _cleanup_(close) int ended = kernel_pidfd_open(process);
    struct pollfd polled = {.fd = ended, .events = POLLIN};
    if (kill(process, SIGUSR1) < 0 || poll(&polled, 1, RETIRE_MS) < 0)
        log_error("the runner: %s", strerror(errno));
}

void supervisor_end_runner(struct supervisor *supervisor)
{
    if (supervisor->runner.process > 0) {
        _cleanup_(close) int ended = kernel_pidfd_open(supervisor->runner.process);
        struct pollfd polled = {.fd = ended, .events = POLLIN};
        shutdown(supervisor->runner_socket[WORKERS_END], SHUT_RDWR); /* whoever else still has it */
        if (ended >= 0)
            (void)poll(&polled, 1, RETIRE_MS);
        kill(supervisor->runner.process, SIGKILL);
        waitpid(supervisor->runner.process, NULL, 0); /* it waits for nothing that could hold it */
    }
    supervisor->runner.process = 0;
    for (int i = 0; i < 2; i++)
        cleanup_close(&supervisor->runner_socket[i]);
}

/* ABORT: mount_point_open_abort's, or -1. */
static void end_publisher(struct supervisor *supervisor, int abort)
{
    pid_t process = supervisor->publisher.process;
    int64_t until_ms = clock_monotonic_ms() + LEAVE_MS;
    for (int i = 0; i < 2; i++)
        cleanup_close(&supervisor->publisher_socket[i]);
    if (process <= 0)
        return;
    while (waitpid(process, NULL, WNOHANG) == 0) {
        int64_t left_ms = until_ms - clock_monotonic_ms();
        struct pollfd polled = {.fd = supervisor->signals, .events = POLLIN};
        struct signalfd_siginfo info;
        if (left_ms <= 0) {
            /* where the mount is kept, the next supervisor's worker answers it */
            if (abort >= 0 && !supervisor->keeping && write(abort, "1", 1) < 0)
                log_error("%s: %s; a process may be left waiting for the mount", supervisor->mount_point.path, strerror(errno));
            break;
        }
        if (poll(&polled, 1, (int)left_ms) > 0 && read(supervisor->signals, &info, sizeof(info)) < 0 && errno != EAGAIN)
            break;
    }
}

int supervisor_end_all(struct supervisor *supervisor)
{
    _cleanup_(close) int abort = mount_point_open_abort(&supervisor->mount_point);
    close(supervisor->mount_point.fuse); /* the connection ends here, whoever still uses it */
    end_publisher(supervisor, abort);
    supervisor_end_runner(supervisor);
    cleanup_close(&supervisor->link);
    reload_end(supervisor);
    request_socket_close(&supervisor->requests, supervisor->parts->state->directory);
    close(supervisor->signals);
    mount_memory_drop(&supervisor->memory);
    return supervisor->status;
}
