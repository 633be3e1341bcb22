#include "fs/supervisor/children.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/stops.h"
#include "fs/engine/kms_clock.h"
#include "fs/publisher/publisher.h"
#include "fs/runner/runner.h"
#include "fs/worker/worker.h"

void supervisor_begin_log(const struct supervisor_parts *parts)
{
    if (!parts->to_syslog)
        log_as_daemon();
}

int supervisor_start_runner(struct supervisor *supervisor)
{
    supervisor->ran_before = supervisor->memory.head ? supervisor->memory.head->ran : 0;
    pid_t process = child_start(&supervisor->runner);
    if (process != 0)
        return process < 0 ? (int)process : 0;
    const int socket = supervisor->runner_socket[RUNNERS_END];
    mount_memory_drop(&supervisor->memory);
    child_keep_only(&socket, 1);
    supervisor_begin_log(supervisor->parts);
    _exit(runner_run(socket));
}

static int start_publisher(struct supervisor *supervisor)
{
    supervisor->published_before = supervisor->memory.head->published;
    pid_t process = child_start(&supervisor->publisher);
    supervisor->memory.head->publisher_lives = process >= 0;
    if (process != 0)
        return process < 0 ? (int)process : 0;
    const int socket = supervisor->publisher_socket[PUBLISHERS_END];
    const int fuse = supervisor->mount_point.fuse;
    const int kept[] = {socket, fuse};
    child_keep_only(kept, 2);
    _exit(publisher_run(socket, supervisor->mount_point.path, supervisor->mount_point.device, fuse));
}

static void __attribute__((noreturn)) be_worker(struct supervisor *supervisor, int link)
{
    const struct state *state = supervisor->parts->state;
    const struct worker_parts parts = {
        .config = supervisor_config(supervisor), .configurer = supervisor->parts->configurer, .state = state,
        .mount_point = &supervisor->mount_point, .memory = supervisor->memory.descriptor,
        .publisher = supervisor->publisher_socket[WORKERS_END], .runner = supervisor->runner_socket[WORKERS_END],
        .link = link,
        .credentials = supervisor->parts->credentials,
    };
    /* not the state's lock: a worker that is slow to die keeps no other daemon out */
    const int kept[] = {supervisor->mount_point.fuse, parts.memory, parts.publisher, parts.runner,
                        parts.link, state->directory, state->key};
    child_keep_only(kept, 7);
    stop_here("worker-begins");
    /* exit, not _exit: sanitizers report at exit; this is the end of the child's main */
    exit(worker_run(&parts));
}

static int start_worker(struct supervisor *supervisor)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    supervisor->answered_before = supervisor->memory.head->answered;
    pid_t process = child_start(&supervisor->worker);
    if (process == 0)
        be_worker(supervisor, pair[1]);
    close(pair[1]);
    if (process < 0) {
        close(pair[0]);
        return (int)process;
    }
    supervisor->link = pair[0];
    return 0;
}

void supervisor_start_what_is_due(struct supervisor *supervisor)
{
    int64_t now_ms = clock_monotonic_ms();
    int r = 0;
    if (supervisor->runner.process == 0 && now_ms >= supervisor->runner.start_ms)
        r = supervisor_start_runner(supervisor);
    if (r == 0 && supervisor->publisher.process == 0 && now_ms >= supervisor->publisher.start_ms)
        r = start_publisher(supervisor);
    if (r == 0 && supervisor->worker.process == 0 && now_ms >= supervisor->worker.start_ms &&
        supervisor->upgrade.stage != UPGRADE_TAKING_OVER)
        r = start_worker(supervisor);
    if (r < 0) {
        log_warning("fork: %s; it is tried again", strerror(-r));
        supervisor->runner.start_ms = supervisor->publisher.start_ms = supervisor->worker.start_ms = now_ms + 1000;
    }
}
