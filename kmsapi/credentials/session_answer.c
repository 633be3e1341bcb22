#include "kmsapi/credentials/session_answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kmsapi/base/error_text.h"
#include "kmsapi/credentials/http.h"
#include "kmsapi/iso_time.h"

enum { DAY_SECONDS = 86400 };

json_t *session_answer_parse(const char *text, size_t text_size, char *reason, size_t size)
{
    json_t *object = json_loadb(text, text_size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(object))
        return object;
    json_decref(object);
    snprintf(reason, size, "the answer is not one JSON object");
    return NULL;
}

int session_answer_string(const json_t *object, const char *name, const char **value, char *reason,
                          size_t size)
{
    const json_t *member = json_object_get(object, name);
    *value = json_string_value(member);
    if (*value || !member || json_is_null(member))
        return 0;
    snprintf(reason, size, "%s is not a string", name);
    return -EINVAL;
}

/* Whether the sender's clock counts. One that stood still would let a session live long after its end. */
static bool is_by_sender(struct session_clocks clocks, int64_t end)
{
    bool stands_back = clocks.ours - clocks.sender > DAY_SECONDS;
    return clocks.sender != 0 && !(stands_back && end > clocks.ours);
}

int session_answer_life(const char *expiration, struct session_clocks clocks, int64_t *life_s, char *reason,
                        size_t size)
{
    int64_t end;
    char now_text[ISO_TIME_SIZE];
    if (iso_time_parse_foreign(expiration, &end) < 0) {
        snprintf(reason, size, "Expiration is not a time as 2026-01-02T03:04:05Z");
        return -EINVAL;
    }
    bool by_sender = is_by_sender(clocks, end);
    int64_t now = by_sender ? clocks.sender : clocks.ours;
    *life_s = end - now;
    if (*life_s > 0)
        return 0;
    (void)iso_time_format(now, now_text);
    snprintf(reason, size, "the session is over already: it ends at %s, and by %s it is %s", expiration,
             by_sender ? "the answer's Date" : "this machine's clock", now_text);
    return -EINVAL;
}

static int check_code(const json_t *object, char *reason, size_t size)
{
    const char *code;
    char clean[64];
    int r = session_answer_string(object, "Code", &code, reason, size);
    if (r < 0 || !code || strcmp(code, "Success") == 0)
        return r;
    error_text_clean(code, strlen(code), NULL, clean, sizeof(clean));
    snprintf(reason, size, "its Code is %s", clean);
    return -EACCES;
}

/* A user's own access key, said so by a SecurityToken that is there and empty. */
static bool is_without_token(const json_t *object, const char *access_key_id)
{
    return json_object_get(object, "SecurityToken") && !credentials_token_of(access_key_id, "");
}

int session_answer_read(const json_t *object, struct session_clocks clocks, struct session *session, char *reason,
                        size_t size)
{
    enum { ID, SECRET, TOKEN, END, COUNT };
    static const char *const names[] = {"AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"};
    const char *values[COUNT];
    int r = check_code(object, reason, size);
    for (size_t i = 0; r == 0 && i < COUNT; i++) {
        r = session_answer_string(object, names[i], &values[i], reason, size);
        bool empty = !values[i] || !values[i][0];
        if (r == 0 && empty && i < END && !(i == TOKEN && is_without_token(object, values[ID]))) {
            snprintf(reason, size, "%s is missing", names[i]);
            r = -EINVAL;
        }
    }
    if (r == 0 && values[END] && values[END][0])
        r = session_answer_life(values[END], clocks, &session->life_s, reason, size);
    if (r == 0)
        r = credentials_set(&session->credentials, values[ID], values[SECRET], values[TOKEN], reason, size);
    return r;
}

struct session_clocks session_answer_clocks(const struct http_answer *answer)
{
    return (struct session_clocks){answer->server_date ? answer->server_date + 1 : 0, time(NULL)};
}

int session_answer_read_http(const struct http_answer *answer, struct session *session,
                             char *reason, size_t size)
{
    json_t *object = session_answer_parse(answer->body, answer->size, reason, size);
    int r = object ? session_answer_read(object, session_answer_clocks(answer), session, reason, size)
                   : -EINVAL;
    json_decref(object);
    return r;
}
