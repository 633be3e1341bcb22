#include "fs/worker/audit_log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "kmsapi/cleanup.h"

struct audit_log {
    pthread_t thread;
    struct audit *audit;
    int wake; /* eventfd: there is something to write, or it is time to end */
    atomic_bool stop;
};

/* Waits until the log has room; false: it has none, and it is time to end. */
static bool await_room(struct audit_log *log)
{
    for (;;) {
        bool stop = atomic_load(&log->stop);
        struct pollfd polled[] = {{.fd = STDERR_FILENO, .events = POLLOUT}, {.fd = log->wake, .events = POLLIN}};
        /* while there is something to write, only the end wakes it: the rest of the calls are counted anyway */
        int ready = poll(polled, 2, stop ? 0 : -1);
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready > 0 && polled[0].revents)
            return true;
        if (stop)
            return false;
        uint64_t calls;
        if (ready > 0 && read(log->wake, &calls, sizeof(calls)) < 0)
            return false;
    }
}

/* Those without room come after all that were queued before them. */
static void write_one(struct audit *audit)
{
    struct audit_open opened;
    uint64_t dropped = audit_dropped(audit);
    if (audit_next(audit, &opened)) {
        log_notice("audit: %s (%s) pid %d uid %u gid %u %s", opened.file, opened.client_key_id, (int)opened.pid,
                   opened.uid, opened.gid, opened.program);
        audit_logged(audit);
    } else if (dropped > 0) {
        log_warning("audit: %llu opens were not logged: the log was full", (unsigned long long)dropped);
        audit_told_dropped(audit, dropped);
    }
}

static bool has_something(const struct audit *audit)
{
    struct audit_open opened;
    return audit_dropped(audit) > 0 || audit_next(audit, &opened);
}

static void *run(void *argument)
{
    struct audit_log *log = argument;
    for (;;) {
        uint64_t calls;
        bool stop = atomic_load(&log->stop);
        if (has_something(log->audit)) {
            if (!await_room(log))
                break;
            write_one(log->audit);
        } else if (stop || (read(log->wake, &calls, sizeof(calls)) < 0 && errno != EINTR)) {
            break;
        }
    }
    return NULL;
}

void audit_log_wake(struct audit_log *log)
{
    static const uint64_t one = 1;
    ssize_t written = write(log->wake, &one, sizeof(one));
    (void)written; /* it is awake already */
}

struct audit_log *audit_log_start(struct audit *audit)
{
    struct audit_log *log = calloc(1, sizeof(*log));
    if (!log)
        return NULL;
    log->audit = audit;
    log->wake = eventfd(0, EFD_CLOEXEC);
    if (log->wake < 0 || pthread_create(&log->thread, NULL, run, log) != 0) {
        cleanup_close(&log->wake);
        free(log);
        return NULL;
    }
    pthread_setname_np(log->thread, "audit");
    return log;
}

void audit_log_stop(struct audit_log *log)
{
    if (!log)
        return;
    atomic_store(&log->stop, true);
    audit_log_wake(log);
    pthread_join(log->thread, NULL);
    close(log->wake);
    free(log);
}
