#include "fs/tree/report_mount.h"

#include "fs/model/aap_state.h"
#include "fs/tree/report_json.h"

static const char foreign_note[] =
    "the state directory was made on another machine; its keys are served; if it belongs to this one now, write "
    "adopt-state to .aapfs/control";

static json_t *request_counts(const struct report_facts *facts)
{
    json_t *counts = json_object();
    for (size_t i = 0; i < facts->request_kinds; i++) {
        const char *name = facts->request_name(i);
        if (name && facts->requests[i] > 0)
            report_set(&counts, name, json_integer((json_int_t)facts->requests[i]));
    }
    return counts;
}

static json_t *aaps_by_state(struct registry *registry, int64_t now)
{
    json_int_t counts[AAP_STATE_COUNT] = {0};
    for (const struct registry_aap *aap = registry_first_aap(registry); aap; aap = aap->next)
        counts[aap_state_of(aap, now)]++;
    json_t *states = json_object();
    for (unsigned int i = 0; i < AAP_STATE_COUNT; i++)
        if (counts[i] > 0)
            report_set(&states, aap_state_text((enum aap_state)i), json_integer(counts[i]));
    return states;
}

static json_t *credentials(const struct report_facts *facts)
{
    char text[128] = "";
    if (facts->describe_credentials)
        facts->describe_credentials(facts->user, text, sizeof(text));
    return report_text(text);
}

static json_t *fleet_status(const struct registry_fleet *fleet)
{
    if (!fleet->host[0])
        return json_null();
    json_t *status = json_object();
    report_set(&status, "Host", json_string(fleet->host));
    report_set(&status, "Connected", json_boolean(fleet->connected));
    report_set(&status, "Trouble", report_text(fleet->trouble));
    return status;
}

json_t *report_mount_status(struct registry *registry, const struct report_facts *facts, int64_t now)
{
    const struct registry_mount *mount = registry_mount(registry);
    json_t *status = json_object();
    report_set(&status, "Version", json_string(AAPFS_VERSION));
    report_set(&status, "Region", json_string(facts->region));
    report_set(&status, "Endpoint", json_string(facts->endpoint));
    report_set(&status, "Credentials", credentials(facts));
    report_set(&status, "Account", report_text(mount->account));
    report_set(&status, "MountPoint", json_string(facts->mountpoint));
    report_set(&status, "StateDirectory", report_text(facts->state));
    report_set(&status, "Mounted", report_time(facts->mounted_ns / 1000000000));
    report_set(&status, "ClockOffsetMilliseconds", json_integer(mount->clock_offset_ms));
    report_set(&status, "LastSync", report_time(mount->last_sync));
    report_set(&status, "SyncIntervalSeconds", json_integer(facts->sync_interval_seconds));
    report_set(&status, "Aaps", aaps_by_state(registry, now));
    report_set(&status, "ForeignState", json_boolean(mount->foreign_state));
    report_set(&status, "Damaged", json_integer(mount->damaged));
    report_set(&status, "Hidden", json_integer(mount->hidden));
    report_set(&status, "WorkerRestarts", json_integer((json_int_t)*facts->worker_restarts));
    report_set(&status, "Inotify", json_boolean(*facts->unreachable == 0));
    report_set(&status, "Audit", json_boolean(facts->audit != NULL));
    report_set(&status, "Fleet", fleet_status(&mount->fleet));
    report_set(&status, "Note", report_text(mount->foreign_state ? foreign_note : NULL));
    report_set(&status, "Requests", request_counts(facts));
    return status;
}
