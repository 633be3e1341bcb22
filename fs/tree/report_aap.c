#include "fs/tree/report_aap.h"

#include <errno.h>
#include <stdio.h>

#include "fs/model/aap_state.h"
#include "fs/model/places.h"
#include "fs/model/schedule.h"
#include "fs/tree/report_json.h"

/* Made for a time that lies ahead, while another key is current. */
static bool is_scheduled(const struct registry_aap *aap, const struct registry_key *key, int64_t now)
{
    return key != aap->current && schedule_waits(key, now);
}

static bool has_void_key(const struct registry_aap *aap, int64_t now)
{
    const struct registry_key *key = aap->keys;
    while (key && (key->deleted || !is_scheduled(aap, key, now) || !schedule_is_void(key)))
        key = key->next;
    return key;
}

static json_t *key_list(const struct registry_aap *aap, bool scheduled, int64_t now)
{
    json_t *ids = json_array();
    for (const struct registry_key *key = aap->keys; ids && key; key = key->next)
        if (key != aap->current && !key->deleted && is_scheduled(aap, key, now) == scheduled)
            json_array_append_new(ids, json_string(key->client_key_id));
    return ids;
}

static json_t *foreign_list(const struct registry_key *key)
{
    json_t *ids = json_array();
    for (; ids && key; key = key->next)
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
    report_set(&object, "Time", report_time(hook->time));
    report_set(&object, "Result", json_string(hook->text));
    return object;
}

/* A superseded key is in use: why nobody was told, and what to do. */
static const char *in_use_note(const struct registry_aap *aap)
{
    if (config_has_command(aap->config))
        return aap->last_hook.time && !aap->last_hook.ok
                   ? "on_rotate failed: applications may still use a superseded key, until InUseUntil; mend it, or "
                     "restart them and write reloaded to control"
                   : "on_rotate has not ended yet: applications may still use a superseded key, until InUseUntil";
    return "on_rotate is empty: applications may still use a superseded key, until InUseUntil; restart them and "
           "write reloaded to control, or set on_rotate";
}

/*
 * No place for the next rotation, for the first key, or for a key that somebody has just asked for: what fills them. False:
 * there is one.
 */
static bool note_places(const struct registry_aap *aap, int64_t now, char *text, size_t size)
{
    char filled[PLACES_TEXT_SIZE];
    struct places places;
    unsigned int most = aap->config->max_keys;
    places_look(aap, now, false, &places);
    bool refused = aap->failure.error.number == EDQUOT && !places_are_enough(&places, most);
    if (!aap->rotation.no_place && !refused)
        return false;
    places_tell(&places, most, now, filled, sizeof(filled));
    snprintf(text, size, "%s%s: %s",
             !aap->rotation.no_place ? "no place for another client key"
             : aap->rotation.first   ? REPORT_NO_FIRST_PLACE
                                     : REPORT_NO_PLACE,
             aap->rotation.no_place && places.elsewhere ? ", keys were made elsewhere" : "", filled);
    return true;
}

/* What somebody should know or do, the most urgent first; NULL: nothing. */
static const char *note_of(const struct registry_aap *aap, int64_t now, char *text, size_t size)
{
    enum aap_state state = aap_state_of(aap, now);
    if (aap->unsaved)
        return "a key is served and not saved yet: make room on the state directory's disk, and do not stop aapfs "
               "before Unsaved is empty";
    if (aap->gone)
        return "KMS says that this AAP does not exist: its keys stay readable and no new one can be made; write "
               "forget and its name to .aapfs/control to remove it here";
    if (aap->ram_role)
        return aap->keys ? REPORT_RAM_ROLE " now and has no client keys: those of an earlier one stay readable, and no new one can be "
                                           "made"
                         : REPORT_RAM_ROLE " (AuthenticationMethod RAMRole): it has no client keys, and none can be made";
    if (note_places(aap, now, text, size))
        return text;
    if (aap->rotation.state == ROTATION_BLOCKED)
        return "the last creations were rejected or their ends are not known: no key is made until somebody writes "
               "to control; see last_error, Rejected, Orphans and Candidates";
    if (aap->cannot_settle)
        return "whether KMS made a key of a creation whose answer was lost cannot be found out: ListClientKeys is not "
               "permitted; permit it, or look in KMS's console";
    if (state == AAP_DELETED)
        return "KMS no longer has the current key: write a password to control to make another one";
    if (state == AAP_EXPIRED)
        return "the current key has expired: write a password to control to make another one";
    if (state == AAP_FAILING)
        return aap->rotation.first ? "the last attempt to make the first key failed, see last_error; it is tried again"
                                   : "the last attempt to rotate failed, see last_error; it is tried again";
    if (has_void_key(aap, now))
        return "KMS no longer has a Scheduled key: it will not take over; delete it here, and make another one if it is "
               "needed";
    if (aap->in_use_until)
        return in_use_note(aap);
    if (state == AAP_EXPIRING)
        return "nothing will rotate this key before its NotAfter: write a password to control to make another one, "
               "or set rotate_at";
    if (aap->busy)
        return "an operation is under way";
    return aap->rotation.first ? "its first key is made by itself, as first_key says, once KMS has listed its keys" : NULL;
}

json_t *report_aap_status(const struct registry_aap *aap, int64_t now)
{
    const struct registry_key *current = aap->current;
    char text[PLACES_TEXT_SIZE + 128];
    json_t *status = json_object();
    report_set(&status, "AapName", json_string(aap->name));
    report_set(&status, "State", json_string(aap_state_text(aap_state_of(aap, now))));
    report_set(&status, "ClientKeyId", report_text(current ? current->client_key_id : NULL));
    report_set(&status, "NotBefore", report_text(current ? current->not_before : NULL));
    report_set(&status, "NotAfter", report_text(current ? current->not_after : NULL));
    report_set(&status, "RequestId", report_text(aap->request_id));
    report_set(&status, "InUseUntil", report_time(aap->in_use_until));
    report_set(&status, "NextRotation", report_time(aap->rotation.next));
    report_set(&status, "LastRotation", report_time(current ? current->made_ns / 1000000000 : 0));
    report_set(&status, "LastHook", last_hook(&aap->last_hook));
    report_set(&status, "Scheduled", key_list(aap, true, now));
    report_set(&status, "Superseded", key_list(aap, false, now));
    report_set(&status, "Foreign", foreign_list(aap->foreign));
    report_set(&status, "Orphans", id_list(aap->orphans));
    report_set(&status, "Candidates", id_list(aap->candidates));
    report_set(&status, "Rejected", id_list(aap->rejected));
    report_set(&status, "Unsaved", id_list(aap->unsaved));
    report_set(&status, "Note", report_text(note_of(aap, now, text, sizeof(text))));
    return status;
}
