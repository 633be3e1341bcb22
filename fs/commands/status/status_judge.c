#include "fs/commands/status/status_judge.h"

#include <string.h>

#include "fs/model/aap_state.h"
#include "fs/tree/report_aap.h"
#include "kmsapi/iso_time.h"

enum { SOON_SECONDS = 7 * 86400, SYNCS_MISSED = 3, LATE_SECONDS = 600 };

int64_t status_time_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    int64_t time;
    return text && iso_time_parse(text, strlen(text), &time) == 0 ? time : 0;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* Whether the last error is of one of the OPERATIONS; who may not read it does not know. */
static bool has_failed(const json_t *status, const char *const operations[])
{
    const char *operation = text_of(json_object_get(status, "LastError"), "Operation");
    while (*operations && strcmp(operation, *operations) != 0)
        operations++;
    return *operations;
}

bool status_is_bad(const char *state)
{
    static const char *const states[] = {"failing", "expired", "deleted", ""};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(state, states[i]) == 0)
            return true;
    return false;
}

/* The rotation to come would find no place, or the first key finds none: its Note begins with that. */
static bool has_no_place(const json_t *aap)
{
    const char *note = text_of(aap, "Note");
    return strncmp(note, REPORT_NO_PLACE, strlen(REPORT_NO_PLACE)) == 0 ||
           strncmp(note, REPORT_NO_FIRST_PLACE, strlen(REPORT_NO_FIRST_PLACE)) == 0;
}

/* A creation asks first whose account it is. */
static bool is_first_key_refused(const json_t *aap)
{
    static const char *const creation[] = {"CreateClientKey", "DescribeApplicationAccessPoint", NULL};
    /* one that is used with a RAM role can have none */
    bool never = strcmp(text_of(json_object_get(aap, "LastError"), "Code"), RAM_ROLE_CODE) == 0;
    return strcmp(text_of(aap, "State"), "none") == 0 && has_failed(aap, creation) && !never;
}

/* Until somebody writes reloaded, or a later run ends well. */
static bool has_hook_failed(const json_t *aap)
{
    const char *result = text_of(json_object_get(aap, "LastHook"), "Result");
    return *result && strcmp(result, "ok") != 0 && status_time_of(aap, "InUseUntil");
}

static bool ends_soon(const json_t *aap, int64_t now)
{
    int64_t end = status_time_of(aap, "InUseUntil"), next = status_time_of(aap, "NextRotation");
    if (end == 0 && next + LATE_SECONDS < now) /* nothing will replace it, or nothing has */
        end = status_time_of(aap, "NotAfter");
    return end && end - now < SOON_SECONDS;
}

const char *status_aap_advice(const json_t *aap, int64_t now)
{
    if (is_first_key_refused(aap))
        return "its first key could not be made, see last_error: mend the cause and write a password again, or see aapfs check";
    if (!status_is_bad(text_of(aap, "State")) && !has_hook_failed(aap) && !ends_soon(aap, now) && !has_no_place(aap))
        return NULL;
    const char *note = json_string_value(json_object_get(aap, "Note"));
    return note ? note : "its key needs somebody: see its status and last_error";
}

const char *status_mount_advice(const json_t *mount, int64_t now)
{
    static const char *const listing[] = {"ListApplicationAccessPoints", "DescribeApplicationAccessPoint", "ListClientKeys", NULL};
    int64_t synced = status_time_of(mount, "LastSync");
    int64_t interval = json_integer_value(json_object_get(mount, "SyncIntervalSeconds"));
    const json_t *aaps = json_object_get(mount, "Aaps");
    if (synced == 0 && has_failed(mount, listing))
        return "KMS was never listed, see the error: what is wrong with credentials, region, network or permissions, and what "
               "to do, says aapfs check";
    if (now - (synced ? synced : status_time_of(mount, "Mounted")) > SYNCS_MISSED * interval)
        return "KMS was not listed for three intervals: aapfs check says why";
    const char *trouble = text_of(json_object_get(mount, "Fleet"), "Trouble");
    if (trouble[0])
        return trouble;
    if (synced && json_is_object(aaps) && json_object_size(aaps) == 0)
        return json_integer_value(json_object_get(mount, "Hidden")) > 0
                   ? "no AAP has a name that can be shown: they have 1 to 200 of A-Z a-z 0-9 _ - . and begin with no dot"
                   : "there is no AAP: make one in KMS, or look whether region and account are the right ones";
    return NULL;
}
