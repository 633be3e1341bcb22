#include "kmsapi/emulator/sessions.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "kmsapi/emulator/emulator_clock.h"
#include "kmsapi/iso_time.h"

enum { REMEMBERED_S = 3600, TOKEN_BYTES = 96, SECRET_BYTES = 33, ID_BYTES = 12, MANY = 10000 };

struct sessions {
    int64_t life_s;
    pthread_mutex_t lock;
    json_t *by_id; /* {"Secret", "Token", "End"}; under the lock */
};

struct sessions *sessions_new(int64_t life_s)
{
    struct sessions *sessions = calloc(1, sizeof(*sessions));
    if (!sessions)
        return NULL;
    sessions->life_s = life_s;
    sessions->by_id = json_object();
    pthread_mutex_init(&sessions->lock, NULL);
    if (sessions->by_id)
        return sessions;
    sessions_free(sessions);
    return NULL;
}

void sessions_free(struct sessions *sessions)
{
    if (!sessions)
        return;
    json_decref(sessions->by_id);
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}

/* One that is over is known to be for a while. */
static void forget_old(struct sessions *sessions, int64_t now)
{
    const char *id;
    json_t *session;
    void *next;
    json_object_foreach_safe(sessions->by_id, next, id, session)
        if (json_integer_value(json_object_get(session, "End")) < now - REMEMBERED_S)
            json_object_del(sessions->by_id, id);
}

/* Base64 of SIZE random bytes, a multiple of 3. */
static bool make_text(char *text, int size)
{
    unsigned char random[TOKEN_BYTES];
    if (RAND_bytes(random, size) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)text, random, size);
    return true;
}

json_t *sessions_issue(struct sessions *sessions, int64_t asked_s)
{
    unsigned char random[ID_BYTES];
    char id[4 + 2 * ID_BYTES + 1] = "STS.", secret[SESSION_SECRET_SIZE], end_text[ISO_TIME_SIZE];
    char token[4 * TOKEN_BYTES / 3 + 1];
    int64_t now = emulator_clock_now();
    int64_t end = now + (sessions->life_s ? sessions->life_s : asked_s);
    if (RAND_bytes(random, sizeof(random)) != 1 || !make_text(secret, SECRET_BYTES) ||
        !make_text(token, TOKEN_BYTES) || iso_time_format(end, end_text) < 0)
        return NULL;
    for (size_t i = 0; i < ID_BYTES; i++)
        snprintf(id + 4 + 2 * i, 3, "%02x", random[i]);
    pthread_mutex_lock(&sessions->lock);
    if (json_object_size(sessions->by_id) % MANY == MANY - 1)
        forget_old(sessions, now);
    int r = json_object_set_new(sessions->by_id, id,
                                json_pack("{s:s, s:s, s:I}", "Secret", secret, "Token", token, "End",
                                          (json_int_t)end));
    pthread_mutex_unlock(&sessions->lock);
    return r < 0 ? NULL
                 : json_pack("{s:s, s:s, s:s, s:s}", "AccessKeyId", id, "AccessKeySecret", secret,
                             "SecurityToken", token, "Expiration", end_text);
}

bool sessions_find(struct sessions *sessions, const char *id, const char *token,
                   char secret[static SESSION_SECRET_SIZE], struct reply *reply)
{
    pthread_mutex_lock(&sessions->lock);
    const json_t *session = json_object_get(sessions->by_id, id);
    const char *right = json_string_value(json_object_get(session, "Token"));
    bool over = json_integer_value(json_object_get(session, "End")) <= emulator_clock_now();
    if (session)
        snprintf(secret, SESSION_SECRET_SIZE, "%s",
                 json_string_value(json_object_get(session, "Secret")));
    bool good = session && token && strcmp(token, right) == 0;
    pthread_mutex_unlock(&sessions->lock);
    if (!session)
        reply_error(reply, 404, "InvalidAccessKeyId.NotFound",
                    "The Access Key ID provided does not exist in our records.");
    else if (!good)
        reply_error(reply, 400, "InvalidSecurityToken.MalFormed",
                    "Specified SecurityToken is malformed.");
    else if (over)
        reply_error(reply, 400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.");
    return good && !over;
}
