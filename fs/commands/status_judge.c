#include "fs/commands/status_judge.h"

#include <string.h>

#include "fs/tree/report_aap.h"
#include "kmsapi/iso_time.h"

enum { SOON_SECONDS = 7 * 86400, SYNCS_MISSED = 3, LATE_SECONDS = 600 };

int64_t status_time_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    int64_t time;
    return text && iso_time_parse(text, strlen(text), &time) == 0 ? time : 0;
}

bool status_aap_has_no_place(const json_t *aap)
{
    const char *note = json_string_value(json_object_get(aap, "Note"));
    return note && strncmp(note, REPORT_NO_PLACE, strlen(REPORT_NO_PLACE)) == 0;
}

bool status_aap_needs_somebody(const json_t *aap, int64_t now)
{
    static const char *const states[] = {"failing", "expired", "deleted"};
    const char *state = json_string_value(json_object_get(aap, "State"));
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (!state || strcmp(state, states[i]) == 0)
            return true;
    if (status_aap_has_no_place(aap))
        return true;
    int64_t end = status_time_of(aap, "InUseUntil"), next = status_time_of(aap, "NextRotation");
    if (end == 0 && next + LATE_SECONDS < now) /* nothing will replace it, or nothing has */
        end = status_time_of(aap, "NotAfter");
    return end && end - now < SOON_SECONDS;
}

bool status_mount_needs_somebody(const json_t *mount, int64_t now)
{
    int64_t synced = status_time_of(mount, "LastSync");
    int64_t interval = json_integer_value(json_object_get(mount, "SyncIntervalSeconds"));
    if (synced == 0)
        synced = status_time_of(mount, "Mounted");
    return now - synced > SYNCS_MISSED * interval;
}
