/*
 * FUSE requests in and out. One thread, which never blocks: everything that is read is in memory,
 * everything that waits is handed to the engine.
 *
 * There are no file handles and no state per open: OPEN and OPENDIR are answered with ENOSYS once,
 * and the kernel never sends them again (protocol 7.23 and 7.27). Where opens are audited OPEN is sent every time, and
 * answered at once: the line about it is in the mount memory by then, and on its way to the log. Whatever else a worker knows of the
 * kernel is in the mount memory: the next one goes on where it was killed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/config/config.h"
#include "fs/model/registry.h"
#include "fs/mount/mount_memory.h"
#include "fs/mount/receive_slots.h"
#include "fs/publisher/publication.h"
#include "fs/tree/content.h"
#include "fs/worker/audit_log.h"
#include "fs/worker/pending.h"

struct engine;
struct session;

struct session_parts {
    struct registry *registry;
    struct publications *publications;
    struct pending *pending;
    struct receive_slots *slots;
    struct mount_memory *memory;
    struct content_owner owner;
    /* How long the kernel may use what is about to change without asking; the rest is tree/lifetime.h's. */
    int64_t settle_ms;
    const char *region, *endpoint, *mountpoint, *state;
    int64_t sync_interval_seconds;
    /* Who gave the credentials, "": nobody has. With USER. */
    void (*describe_credentials)(void *user, char *text, size_t size);
    struct audit *audit; /* NULL: opens are not told; else with the log's thread */
    struct audit_log *audit_log;
    bool sees_pids;   /* whether a caller's pid means in /proc here what the kernel means */
    bool allow_idmap; /* where the kernel offers it, and this is the mount's first session */
    /* A line for the log, by somebody who may block. */
    void (*say)(void *user, const char *format, ...) __attribute__((format(printf, 2, 3)));
    void *user;
};

/* Over the mount behind the descriptor FUSE, which does not block. NULL: memory, or a line by libfuse. */
struct session *session_new(const struct session_parts *parts, int fuse);

/* Where control writes go: before session_take_over. */
void session_set_engine(struct session *session, struct engine *engine);

/*
 * Answers the kernel's first message, or sets this process up as the worker did who answered it. 0; -EPROTO when
 * the two would differ: this worker cannot serve this mount.
 */
int session_agree(struct session *session);

/* Whether a session of this program would agree, in a process that may serve later. As session_agree. */
int session_try(struct mount_memory *memory, int fuse);

/* Answers what an earlier worker left. A request that two workers died with is refused with EIO. */
void session_take_over(struct session *session);

enum { SESSION_UNMOUNTED, SESSION_STOPPED };

/* Serves until the mount is gone (SESSION_UNMOUNTED) or session_stop (SESSION_STOPPED). Or negative errno. */
int session_run(struct session *session);

/* Makes session_run return after the request in hand; any thread, and a signal handler. */
void session_stop(struct session *session);

void session_free(struct session *session);
