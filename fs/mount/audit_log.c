#include "fs/mount/audit_log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs/log.h"

enum { QUEUED_MOST = 512 };

struct audit_log {
    pthread_t thread;
    int wake; /* eventfd: there is something to write, or it is time to end */
    pthread_mutex_t lock; /* held for moments only: nobody writes under it */
    struct audit_open queue[QUEUED_MOST];
    unsigned int first, count;
    uint64_t dropped; /* since the log was told */
    bool stop;
};

struct piece {
    struct audit_open opened;
    bool found;
    uint64_t dropped;
    bool stop;
};

/* The dropped ones come after all that were queued before them. */
static void take(struct audit_log *log, struct piece *piece)
{
    pthread_mutex_lock(&log->lock);
    *piece = (struct piece){.stop = log->stop, .found = log->count > 0};
    if (piece->found) {
        piece->opened = log->queue[log->first];
        log->first = (log->first + 1) % QUEUED_MOST;
        log->count--;
    } else {
        piece->dropped = log->dropped;
        log->dropped = 0;
    }
    pthread_mutex_unlock(&log->lock);
}

static bool is_stopped(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool stop = log->stop;
    pthread_mutex_unlock(&log->lock);
    return stop;
}

/* Waits until the log has room; false: it has none, and it is time to end. */
static bool await_room(struct audit_log *log)
{
    for (;;) {
        bool stop = is_stopped(log);
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

static void *run(void *argument)
{
    struct audit_log *log = argument;
    for (;;) {
        struct piece piece;
        uint64_t calls;
        take(log, &piece);
        const struct audit_open *opened = &piece.opened;
        if (!piece.found && piece.dropped == 0) {
            if (piece.stop)
                break;
            if (read(log->wake, &calls, sizeof(calls)) < 0 && errno != EINTR)
                break;
            continue;
        }
        if (!await_room(log))
            break;
        if (piece.found)
            log_notice("audit: %s (%s) pid %d uid %u gid %u %s", opened->file, opened->client_key_id,
                       (int)opened->pid, opened->uid, opened->gid, opened->program);
        else
            log_error("audit: %llu opens were not logged: the log was full", (unsigned long long)piece.dropped);
    }
    return NULL;
}

static void wake(struct audit_log *log)
{
    static const uint64_t one = 1;
    ssize_t written = write(log->wake, &one, sizeof(one));
    (void)written; /* it is awake already */
}

struct audit_log *audit_log_start(void)
{
    struct audit_log *log = calloc(1, sizeof(*log));
    if (!log)
        return NULL;
    log->wake = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&log->lock, NULL);
    if (log->wake < 0 || pthread_create(&log->thread, NULL, run, log) != 0) {
        if (log->wake >= 0)
            close(log->wake);
        pthread_mutex_destroy(&log->lock);
        free(log);
        return NULL;
    }
    pthread_setname_np(log->thread, "audit");
    return log;
}

bool audit_log_add(struct audit_log *log, const struct audit_open *opened)
{
    pthread_mutex_lock(&log->lock);
    bool fits = log->count < QUEUED_MOST;
    if (fits)
        log->queue[(log->first + log->count++) % QUEUED_MOST] = *opened;
    else
        log->dropped++;
    pthread_mutex_unlock(&log->lock);
    if (fits)
        wake(log);
    return fits;
}

void audit_log_stop(struct audit_log *log)
{
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    log->stop = true;
    pthread_mutex_unlock(&log->lock);
    wake(log);
    pthread_join(log->thread, NULL);
    pthread_mutex_destroy(&log->lock);
    close(log->wake);
    free(log);
}
