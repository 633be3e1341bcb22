#include "fs/tree/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/model/aap_state.h"

static void begin(FILE *stream, const char *name, const char *type, const char *help)
{
    fprintf(stream, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: the format escapes these three, and everything else is as it is. */
static void write_value(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", stream);
        else if (*text == '\\' || *text == '"')
            fprintf(stream, "\\%c", *text);
        else
            fputc(*text, stream);
    }
}

/* NAME{LABEL="VALUE" and, unless OTHER is NULL, OTHER="OTHER_VALUE"} with a space behind. */
static void write_name(FILE *stream, const char *name, const char *label, const char *value, const char *other,
                       const char *other_value)
{
    fprintf(stream, "%s{%s=\"", name, label);
    write_value(stream, value);
    if (other) {
        fprintf(stream, "\",%s=\"", other);
        write_value(stream, other_value);
    }
    fputs("\"} ", stream);
}

/* One family of an AAP's values; WRITE writes its samples. */
struct family {
    const char *name, *help;
    void (*write)(FILE *stream, const char *name, const struct registry_aap *aap, int64_t now);
};

static void write_time(FILE *stream, const char *name, const struct registry_aap *aap, int64_t time)
{
    if (time == 0)
        return;
    write_name(stream, name, "aap", aap->name, NULL, NULL);
    fprintf(stream, "%" PRId64 "\n", time);
}

static void write_not_after(FILE *stream, const char *name, const struct registry_aap *aap, int64_t now)
{
    if (!aap->current)
        return;
    write_name(stream, name, "aap", aap->name, "client_key_id", aap->current->client_key_id);
    fprintf(stream, "%" PRId64 "\n", aap->current->not_after_time);
}

static void write_in_use(FILE *stream, const char *name, const struct registry_aap *aap, int64_t now)
{
    write_time(stream, name, aap, aap->in_use_until);
}

static void write_state(FILE *stream, const char *name, const struct registry_aap *aap, int64_t now)
{
    enum aap_state state = aap_state_of(aap, now);
    for (unsigned int i = 0; i < AAP_STATE_COUNT; i++) {
        write_name(stream, name, "aap", aap->name, "state", aap_state_text((enum aap_state)i));
        fputs(i == (unsigned int)state ? "1\n" : "0\n", stream);
    }
}

static void write_next_rotation(FILE *stream, const char *name, const struct registry_aap *aap, int64_t now)
{
    write_time(stream, name, aap, aap->rotation.next);
}

static void write_last_hook(FILE *stream, const char *name, const struct registry_aap *aap, int64_t now)
{
    if (aap->last_hook.time == 0)
        return;
    write_name(stream, name, "aap", aap->name, NULL, NULL);
    fputs(aap->last_hook.ok ? "1\n" : "0\n", stream);
}

static const struct family families[] = {
    {"aapfs_client_key_not_after_seconds", "When the current client key expires, in seconds since 1970.",
     write_not_after},
    {"aapfs_client_key_in_use_not_after_seconds",
     "When a superseded client key expires that applications may still use, in seconds since 1970.", write_in_use},
    {"aapfs_aap_state", "1 for the state that the application access point is in.", write_state},
    {"aapfs_next_rotation_timestamp_seconds", "When the current client key will be replaced.", write_next_rotation},
    {"aapfs_last_hook_success", "Whether the last run of on_rotate succeeded.", write_last_hook},
};

static void write_aaps(FILE *stream, const struct metrics_source *source, int64_t now)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        begin(stream, families[i].name, "gauge", families[i].help);
        for (const struct registry_aap *aap = registry_first_aap(source->registry); aap; aap = aap->next)
            families[i].write(stream, families[i].name, aap, now);
    }
}

static void write_rotations(FILE *stream, const struct counters *counters)
{
    static const char name[] = "aapfs_rotations_total";
    static const char *const results[ROTATION_RESULTS] = {
        [ROTATION_DONE] = "success",
        [ROTATION_FAILED] = "failure",
    };
    begin(stream, name, "counter", "Client keys that were asked for, by outcome.");
    for (unsigned int i = 0; i < ROTATION_RESULTS; i++) {
        write_name(stream, name, "result", results[i], NULL, NULL);
        fprintf(stream, "%" PRIu64 "\n", counters->rotations[i]);
    }
}

static void write_requests(FILE *stream, const struct counters *counters)
{
    static const char name[] = "aapfs_kms_requests_total";
    begin(stream, name, "counter", "Requests to KMS, by how they ended; a retried one counts once.");
    for (size_t i = 0; i < COUNTERS_REQUEST_ROWS; i++) {
        const struct counted_requests *row = &counters->requests[i];
        if (row->operation[0] == '\0')
            continue;
        write_name(stream, name, "operation", row->operation, "code", row->code[0] ? row->code : "OK");
        fprintf(stream, "%" PRIu64 "\n", row->count);
    }
}

static void write_durations(FILE *stream, const struct counters *counters)
{
    static const char name[] = "aapfs_kms_request_duration_seconds";
    uint64_t count = 0;
    begin(stream, name, "histogram", "How long KMS took to answer a request.");
    for (size_t i = 0; i < COUNTERS_DURATIONS; i++) {
        count += counters->durations[i];
        if (i < COUNTERS_DURATIONS - 1)
            fprintf(stream, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, (double)counters_bounds_ms[i] / 1000, count);
        else
            fprintf(stream, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    }
    fprintf(stream, "%s_sum %" PRIu64 ".%03u\n%s_count %" PRIu64 "\n", name, counters->duration_ms / 1000,
            (unsigned int)(counters->duration_ms % 1000), name, count);
}

static void write_mount(FILE *stream, const struct metrics_source *source)
{
    const struct registry_mount *mount = registry_mount(source->registry);
    begin(stream, "aapfs_clock_offset_seconds", "gauge", "The time of KMS minus the local time.");
    fprintf(stream, "aapfs_clock_offset_seconds %s%" PRId64 ".%03d\n", mount->clock_offset_ms < 0 ? "-" : "",
            imaxabs(mount->clock_offset_ms) / 1000, (int)(imaxabs(mount->clock_offset_ms) % 1000));
    begin(stream, "aapfs_worker_restarts_total", "counter", "Workers that ended and were started again.");
    fprintf(stream, "aapfs_worker_restarts_total %" PRIu64 "\n", source->worker_restarts);
    begin(stream, "aapfs_last_sync_timestamp_seconds", "gauge", "When the last complete listing ended; 0: never.");
    fprintf(stream, "aapfs_last_sync_timestamp_seconds %" PRId64 "\n", mount->last_sync);
    begin(stream, "aapfs_build_info", "gauge", "The version that serves the mount.");
    fputs("aapfs_build_info{version=\"" AAPFS_VERSION "\"} 1\n", stream);
}

char *metrics_text(const struct metrics_source *source, int64_t now)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    write_aaps(stream, source, now);
    write_rotations(stream, source->counters);
    write_requests(stream, source->counters);
    write_durations(stream, source->counters);
    write_mount(stream, source);
    bool good = !ferror(stream);
    if (fclose(stream) == 0 && good)
        return text;
    free(text);
    return NULL;
}
