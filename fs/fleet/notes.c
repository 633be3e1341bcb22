#include "fs/fleet/notes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "kmsapi/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

/* Not json_dumps: what that returns has jansson's allocator to be freed with. */
static char *put(json_t *note)
{
    _cleanup_(json) json_t *ours = note;
    size_t size = ours ? json_dumpb(ours, NULL, 0, JSON_COMPACT) : 0;
    char *text = size ? calloc(1, size + 1) : NULL;
    if (text)
        json_dumpb(ours, text, size, JSON_COMPACT);
    return text;
}

char *note_check_put(const struct note_check *note)
{
    return put(json_pack("{s:s, s:s}", "Account", note->account, "Region", note->region));
}

char *note_current_put(const struct note_current *note)
{
    return put(json_pack("{s:s, s:I}", "ClientKeyId", note->client_key_id, "MadeNs", (json_int_t)note->made_ns));
}

char *note_deleted_put(const struct note_deleted *note)
{
    return put(json_pack("{s:I}", "Deleted", (json_int_t)note->time));
}

static json_t *parse(const char *text)
{
    return json_loads(text, JSON_REJECT_DUPLICATES, NULL);
}

/* One word: it may stand in a line of the log. */
static bool copy(char *to, size_t size, const char *from)
{
    for (const char *c = from; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return from[0] && (size_t)snprintf(to, size, "%s", from) < size;
}

int note_check_take(const char *text, struct note_check *note)
{
    _cleanup_(json) json_t *json = parse(text);
    const char *account, *region;
    return json && json_unpack(json, "{s:s, s:s!}", "Account", &account, "Region", &region) == 0 &&
                   copy(note->account, sizeof(note->account), account) && copy(note->region, sizeof(note->region), region)
               ? 0
               : -EINVAL;
}

int note_current_take(const char *text, struct note_current *note)
{
    _cleanup_(json) json_t *json = parse(text);
    const char *id;
    json_int_t made_ns;
    if (!json || json_unpack(json, "{s:s, s:I!}", "ClientKeyId", &id, "MadeNs", &made_ns) != 0 || made_ns <= 0 ||
        !copy(note->client_key_id, sizeof(note->client_key_id), id))
        return -EINVAL;
    note->made_ns = made_ns;
    return 0;
}

int note_deleted_take(const char *text, struct note_deleted *note)
{
    _cleanup_(json) json_t *json = parse(text);
    json_int_t time;
    if (!json || json_unpack(json, "{s:I!}", "Deleted", &time) != 0 || time <= 0)
        return -EINVAL;
    note->time = time;
    return 0;
}

/* -- of hosts ------------------------------------------------------------------------------ */

static bool is_time(json_int_t time)
{
    return time >= 0 && time < INT64_C(253402300800); /* until the year 9999 */
}

char *note_lock_put(const struct note_lock *note)
{
    return put(json_pack("{s:s, s:s, s:I}", "Host", note->host, "Nonce", note->nonce, "Since", (json_int_t)note->since));
}

int note_lock_take(const char *text, struct note_lock *note)
{
    _cleanup_(json) json_t *json = parse(text);
    const char *host, *nonce;
    json_int_t since;
    if (json_unpack_ex(json, NULL, JSON_STRICT, "{s:s, s:s, s:I}", "Host", &host, "Nonce", &nonce, "Since", &since) < 0 ||
        !copy(note->host, sizeof(note->host), host) || !copy(note->nonce, sizeof(note->nonce), nonce) || !is_time(since))
        return -EINVAL;
    note->since = since;
    return 0;
}

char *note_presence_put(const struct note_presence *note)
{
    return put(json_pack("{s:s, s:I, s:b}", "Nonce", note->nonce, "Since", (json_int_t)note->since, "Reported", note->reported));
}

int note_presence_take(const char *text, struct note_presence *note)
{
    _cleanup_(json) json_t *json = parse(text);
    const char *nonce;
    json_int_t since;
    int reported;
    if (json_unpack_ex(json, NULL, JSON_STRICT, "{s:s, s:I, s:b}", "Nonce", &nonce, "Since", &since, "Reported",
                       &reported) < 0 ||
        !copy(note->nonce, sizeof(note->nonce), nonce) || !is_time(since))
        return -EINVAL;
    note->since = since;
    note->reported = reported;
    return 0;
}

char *note_served_put(const struct note_served *note)
{
    return put(json_pack("{s:s, s:s, s:I, s:I, s:s}", "Nonce", note->nonce, "ClientKeyId", note->client_key_id, "MadeNs",
                         (json_int_t)note->made_ns, "Since", (json_int_t)note->since, "Notified", note->notified));
}

int note_served_take(const char *text, struct note_served *note)
{
    _cleanup_(json) json_t *json = parse(text);
    const char *nonce, *id, *notified;
    json_int_t made_ns, since;
    if (json_unpack_ex(json, NULL, JSON_STRICT, "{s:s, s:s, s:I, s:I, s:s}", "Nonce", &nonce, "ClientKeyId", &id, "MadeNs",
                       &made_ns, "Since", &since, "Notified", &notified) < 0 ||
        !copy(note->nonce, sizeof(note->nonce), nonce) || !copy(note->client_key_id, sizeof(note->client_key_id), id) ||
        made_ns < 0 || !is_time(since) || (notified[0] && !copy(note->notified, sizeof(note->notified), notified)))
        return -EINVAL;
    note->notified[0] = notified[0];
    note->made_ns = made_ns;
    note->since = since;
    return 0;
}
