#include "fs/tree/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "fs/engine/kms_clock.h"
#include "fs/tree/metrics.h"
#include "fs/tree/report_aap.h"
#include "fs/tree/report_json.h"
#include "fs/tree/report_mount.h"
#include "kmsapi/cleanup.h"

enum { METRICS_MS = 1000 };

struct reports {
    struct registry *registry;
    struct report_facts facts;
    struct report_history *history;
    int64_t metrics_made_ms; /* CLOCK_MONOTONIC; 0: not by this worker */
};

struct reports *reports_new(struct registry *registry, const struct report_facts *facts, struct report_history *history)
{
    struct reports *reports = calloc(1, sizeof(*reports));
    if (!reports)
        return NULL;
    reports->registry = registry;
    reports->facts = *facts;
    reports->history = history;
    return reports;
}

void reports_free(struct reports *reports)
{
    free(reports);
}

/* The failure as an object; an empty array where there is none: an empty file. */
static json_t *last_error(const struct registry_failure *failure)
{
    const struct kms_error *error = &failure->error;
    if (error->number == 0)
        return json_array();
    json_t *object = json_object();
    report_set(&object, "Operation", json_string(error->operation));
    report_set(&object, "Code", json_string(error->code));
    report_set(&object, "Message", json_string(error->message));
    report_set(&object, "RequestId", report_text(error->request_id));
    report_set(&object, "HttpStatus", error->http_status ? json_integer(error->http_status) : json_null());
    report_set(&object, "Errno", json_string(strerrorname_np(error->number)));
    report_set(&object, "Time", report_time(failure->time));
    return object;
}

static char *json_report(json_t *value)
{
    char *text = json_is_array(value) ? strdup("") : value ? report_dump(value) : NULL;
    json_decref(value);
    return text;
}

/* The text of a report, malloc'ed; NULL when memory is short. AAP NULL: the mount's. */
static char *make_text(struct reports *reports, const struct registry_aap *aap, enum report_kind kind, int64_t now)
{
    const struct report_facts *facts = &reports->facts;
    const struct metrics_source source = {reports->registry, facts->counters, *facts->worker_restarts};
    switch (kind) {
    case REPORT_STATUS:
        return json_report(aap ? report_aap_status(aap, now) : report_mount_status(reports->registry, facts, now));
    case REPORT_LAST_ERROR:
        return json_report(last_error(aap ? &aap->failure : &registry_mount(reports->registry)->failure));
    case REPORT_METRICS:
        return metrics_text(&source, now);
    case REPORT_AUDIT:
        return audit_text(facts->audit);
    default:
        return NULL;
    }
}

/* Metrics are not made anew for everybody who looks: they are long, and the last contents are to last for a while. */
static bool is_fresh(struct reports *reports, enum report_kind kind, struct report_content *content)
{
    int64_t now_ms = clock_monotonic_ms();
    if (kind != REPORT_METRICS)
        return false;
    if (reports->metrics_made_ms && now_ms - reports->metrics_made_ms < METRICS_MS &&
        report_history_newest(reports->history, 0, kind, content) == 0)
        return true;
    reports->metrics_made_ms = now_ms;
    return false;
}

static int make_content(struct reports *reports, uint32_t number, enum report_kind kind, int64_t now_ns, int64_t now,
                        struct report_content *content)
{
    const struct registry_aap *aap = registry_aap(reports->registry, number);
    if (number && !aap)
        return -ESTALE;
    if (kind == REPORT_AUDIT && !reports->facts.audit)
        return -ENOENT;
    if (is_fresh(reports, kind, content))
        return 0;
    _cleanup_(free) char *text = make_text(reports, aap, kind, now);
    if (!text)
        return -ENOMEM;
    size_t size = strlen(text);
    int r = report_history_newest(reports->history, number, kind, content);
    if (r < 0 || content->size != size || memcmp(content->data, text, size) != 0)
        r = report_history_add(reports->history, number, kind, text, size, now_ns, content);
    return r;
}

int reports_current(struct reports *reports, uint32_t number, enum report_kind kind, int64_t now_ns,
                    int64_t now, struct node *node)
{
    struct report_content content;
    int r = make_content(reports, number, kind, now_ns, now, &content);
    *node = (struct node){.kind = NODE_KIND_REPORT, .file = kind, .number = number,
                          .report = r < 0 ? 0 : content.report};
    return r;
}

int reports_read(struct reports *reports, struct node node, const void **data, size_t *size, int64_t *made_ns)
{
    struct report_content content;
    int r = report_history_find(reports->history, node.number, (enum report_kind)node.file, node.report, &content);
    if (r < 0)
        return r;
    *data = content.data;
    *size = content.size;
    if (made_ns)
        *made_ns = content.made_ns;
    return 0;
}
