/*
 * Files whose content changes: status and last_error, of an AAP and of the mount; metrics.prom and audit. Each content is a
 * node of its own that never changes; looking the name up makes the newest one. report_history.h keeps them
 * for readers that are still at it.
 *
 * The session's thread only, with the registry's lock held.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fs/model/counters.h"
#include "fs/model/registry.h"
#include "fs/tree/audit.h"
#include "fs/tree/node_id.h"
#include "fs/tree/report_history.h"

struct reports;

/* What the mount's status tells beside the registry; all texts outlive the reports. */
struct report_facts {
    const char *region;
    const char *endpoint;
    const char *mountpoint;
    const char *state;                 /* its directory */
    const uint64_t *requests;          /* FUSE requests received, by opcode */
    const char *(*request_name)(size_t opcode); /* NULL: no such opcode */
    size_t request_kinds;
    int64_t mounted_ns; /* since 1970 */
    int64_t sync_interval_seconds;
    void (*describe_credentials)(void *user, char *text, size_t size); /* NULL: nobody can tell */
    void *user;
    const struct counters *counters;
    const uint64_t *worker_restarts;
    const uint32_t *unreachable;       /* not 0: publications go by notification, and inotify is not served */
    const struct audit *audit;         /* NULL: opens are not told */
};

/* HISTORY outlives the reports. */
struct reports *reports_new(struct registry *registry, const struct report_facts *facts,
                            struct report_history *history);
void reports_free(struct reports *reports);

/*
 * The node of the newest content of a report; NUMBER is an AAP's number, 0 for the mount. NOW_NS is the content's time
 * if it is new; NOW is KMS's time in seconds. 0, -ESTALE, -ENOENT (audit where nothing is told), -ENOMEM.
 */
int reports_current(struct reports *reports, uint32_t number, enum report_kind kind, int64_t now_ns,
                    int64_t now, struct node *node);

/* A content by its node. 0, or -ESTALE when it is no longer kept. */
int reports_read(struct reports *reports, struct node node, const void **data, size_t *size, int64_t *made_ns);
