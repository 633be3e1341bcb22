#include "fs/tree/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "fs/keys/aap_state.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/iso_time.h"

struct reports {
    struct registry *registry;
    struct report_facts facts;
    struct report_history *history;
};

static const char foreign_note[] =
    "the state directory was made on another machine; its keys are served; if it belongs to this one now, write "
    "adopt-state to .aapfs/control";

struct reports *reports_new(struct registry *registry, const struct report_facts *facts,
                            struct report_history *history)
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

static const char *state_of(const struct registry_aap *aap, int64_t now)
{
    return aap_state_text(aap_state_of(aap, now));
}

/* Every member is set through this, so that one failure makes the whole object fail. */
static void set(json_t **object, const char *name, json_t *value)
{
    if (*object && json_object_set_new(*object, name, value) < 0) {
        json_decref(*object);
        *object = NULL;
    }
}

static json_t *text_or_null(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

static json_t *time_or_null(int64_t seconds)
{
    char text[ISO_TIME_SIZE];
    return seconds > 0 && iso_time_format(seconds, text) == 0 ? json_string(text) : json_null();
}

static json_t *superseded_ids(const struct registry_aap *aap)
{
    json_t *ids = json_array();
    for (const struct registry_key *key = aap->keys; ids && key; key = key->next)
        if (key != aap->current && !key->deleted)
            json_array_append_new(ids, json_string(key->client_key_id));
    return ids;
}

static json_t *id_list(const struct registry_id *id)
{
    json_t *ids = json_array();
    for (; ids && id; id = id->next)
        json_array_append_new(ids, json_string(id->client_key_id));
    return ids;
}

static json_t *last_hook(const struct registry_hook *hook)
{
    if (hook->time == 0)
        return json_null();
    json_t *object = json_object();
    set(&object, "Time", time_or_null(hook->time));
    set(&object, "Result", json_string(hook->text));
    return object;
}

static json_t *aap_status(struct reports *reports, uint32_t number, int64_t now)
{
    const struct registry_aap *aap = registry_aap(reports->registry, number);
    if (!aap)
        return NULL;
    const struct registry_key *current = aap->current;
    json_t *status = json_object();
    set(&status, "AapName", json_string(aap->name));
    set(&status, "State", json_string(state_of(aap, now)));
    set(&status, "ClientKeyId", text_or_null(current ? current->client_key_id : NULL));
    set(&status, "NotBefore", text_or_null(current ? current->not_before : NULL));
    set(&status, "NotAfter", text_or_null(current ? current->not_after : NULL));
    set(&status, "RequestId", text_or_null(aap->request_id));
    set(&status, "LastRotation", time_or_null(current ? current->made_ns / 1000000000 : 0));
    set(&status, "LastHook", last_hook(&aap->last_hook));
    set(&status, "Superseded", superseded_ids(aap));
    set(&status, "Orphans", id_list(aap->orphans));
    set(&status, "Candidates", id_list(aap->candidates));
    set(&status, "Rejected", id_list(aap->rejected));
    set(&status, "Unsaved", id_list(aap->unsaved));
    set(&status, "Note", text_or_null(aap->busy ? "an operation is under way" : NULL));
    return status;
}

static json_t *request_counts(const struct report_facts *facts)
{
    json_t *counts = json_object();
    for (size_t i = 0; i < facts->request_kinds; i++) {
        const char *name = facts->request_name(i);
        if (name && facts->requests[i] > 0)
            set(&counts, name, json_integer((json_int_t)facts->requests[i]));
    }
    return counts;
}

static json_t *aaps_by_state(struct reports *reports, int64_t now)
{
    json_t *states = json_object();
    for (const struct registry_aap *aap = registry_first_aap(reports->registry); states && aap;
         aap = aap->next) {
        const char *state = state_of(aap, now);
        json_int_t count = json_integer_value(json_object_get(states, state));
        set(&states, state, json_integer(count + 1));
    }
    return states;
}

static json_t *mount_status(struct reports *reports, int64_t now)
{
    const struct registry_mount *mount = registry_mount(reports->registry);
    json_t *status = json_object();
    set(&status, "Version", json_string(AAPFS_VERSION));
    set(&status, "Region", json_string(reports->facts.region));
    set(&status, "Endpoint", json_string(reports->facts.endpoint));
    set(&status, "Account", text_or_null(mount->account));
    set(&status, "MountPoint", json_string(reports->facts.mountpoint));
    set(&status, "ClockOffsetMilliseconds", json_integer(mount->clock_offset_ms));
    set(&status, "LastSync", time_or_null(mount->last_sync));
    set(&status, "Aaps", aaps_by_state(reports, now));
    set(&status, "ForeignState", json_boolean(mount->foreign_state));
    set(&status, "Damaged", json_integer(mount->damaged));
    set(&status, "Hidden", json_integer(mount->hidden));
    set(&status, "Note", text_or_null(mount->foreign_state ? foreign_note : NULL));
    set(&status, "Requests", request_counts(&reports->facts));
    return status;
}

/* The failure as an object; an empty array where there is none: an empty file. */
static json_t *last_error(const struct registry_failure *failure)
{
    const struct kms_error *error = &failure->error;
    if (error->number == 0)
        return json_array();
    json_t *object = json_object();
    set(&object, "Operation", json_string(error->operation));
    set(&object, "Code", json_string(error->code));
    set(&object, "Message", json_string(error->message));
    set(&object, "RequestId", text_or_null(error->request_id));
    set(&object, "HttpStatus", error->http_status ? json_integer(error->http_status) : json_null());
    set(&object, "Errno", json_string(strerrorname_np(error->number)));
    set(&object, "Time", time_or_null(failure->time));
    return object;
}

/* Not json_dumps: what that returns has jansson's allocator to be freed with. */
static char *json_text(const json_t *value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    bool good = json_dumpf(value, stream, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
                fputc('\n', stream) != EOF;
    if (fclose(stream) == 0 && good)
        return text;
    free(text);
    return NULL;
}

/* The text of a report, malloc'ed; NULL when memory is short or the AAP is gone. */
static char *make_text(struct reports *reports, uint32_t number, enum report_kind kind, int64_t now)
{
    json_t *value;
    if (kind == REPORT_STATUS) {
        value = number ? aap_status(reports, number, now) : mount_status(reports, now);
    } else {
        const struct registry_aap *aap = registry_aap(reports->registry, number);
        value = last_error(number ? &aap->failure : &registry_mount(reports->registry)->failure);
    }
    if (!value)
        return NULL;
    char *text = json_is_array(value) ? strdup("") : json_text(value);
    json_decref(value);
    return text;
}

int reports_current(struct reports *reports, uint32_t number, enum report_kind kind, int64_t now_ns,
                    int64_t now, struct node *node)
{
    if (number && !registry_aap(reports->registry, number))
        return -ESTALE;
    _cleanup_(free) char *text = make_text(reports, number, kind, now);
    if (!text)
        return -ENOMEM;

    struct report_content content;
    size_t size = strlen(text);
    int r = report_history_newest(reports->history, number, kind, &content);
    if (r < 0 || content.size != size || memcmp(content.data, text, size) != 0)
        r = report_history_add(reports->history, number, kind, text, size, now_ns, &content);
    *node = (struct node){.kind = NODE_KIND_REPORT, .file = kind, .number = number,
                          .report = r < 0 ? 0 : content.report};
    return r;
}

int reports_read(struct reports *reports, struct node node, const void **data, size_t *size,
                 int64_t *made_ns)
{
    struct report_content content;
    int r = report_history_find(reports->history, node.number, (enum report_kind)node.file,
                                node.report, &content);
    if (r < 0)
        return r;
    *data = content.data;
    *size = content.size;
    if (made_ns)
        *made_ns = content.made_ns;
    return 0;
}
