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

/* A new one, as {"AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"}; NULL when memory is short. */
static json_t *issue(struct sessions *sessions, int64_t asked_s)
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

/* -- STS (2015-04-01) ------------------------------------------------------------------- */

enum { DURATION_USUAL_S = 3600, DURATION_LEAST_S = 900, DURATION_MOST_S = 43200, TOKEN_MOST = 8192 };

static const struct {
    const char *action;
    bool oidc;
} sts_actions[] = {{"AssumeRole", false}, {"AssumeRoleWithOIDC", true}};

bool sts_has(const char *action, bool *is_unsigned)
{
    for (size_t i = 0; action && i < sizeof(sts_actions) / sizeof(sts_actions[0]); i++)
        if (strcmp(action, sts_actions[i].action) == 0) {
            *is_unsigned = sts_actions[i].oidc;
            return true;
        }
    return false;
}

static bool check_role(const struct request *request, struct reply *reply)
{
    const char *arn = request_parameter(request, "RoleArn");
    const char *name = request_parameter(request, "RoleSessionName");
    char account[33], role[65];
    int end = 0;
    if (!arn || !name) {
        reply_missing(reply, arn ? "RoleSessionName" : "RoleArn");
        return false;
    }
    if (sscanf(arn, "acs:ram::%32[0-9]:role/%64[A-Za-z0-9.-]%n", account, role, &end) == 2 && !arn[end])
        return true;
    reply_error(reply, 404, "EntityNotExist.Role", "The role not exists.");
    return false;
}

static bool read_duration(const struct request *request, int64_t *duration_s, struct reply *reply)
{
    const char *text = request_parameter(request, "DurationSeconds");
    *duration_s = text ? strtol(text, NULL, 10) : DURATION_USUAL_S;
    if (*duration_s >= DURATION_LEAST_S && *duration_s <= DURATION_MOST_S)
        return true;
    reply_error(reply, 400, "InvalidParameter.DurationSeconds",
                "The Min/Max value of DurationSeconds is 15min/12hr.");
    return false;
}

/* As the file has it, but for the newline at its end. */
static bool is_good_token(const char *token, const char *path)
{
    char right[TOKEN_MOST] = "";
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(right, 1, sizeof(right) - 1, file) : 0;
    if (file)
        fclose(file);
    right[size] = '\0';
    right[strcspn(right, "\n")] = '\0';
    return right[0] && strcmp(token, right) == 0;
}

static bool check_oidc(const struct sts *sts, const struct request *request, struct reply *reply)
{
    const char *token = request_parameter(request, "OIDCToken");
    if (!token || !request_parameter(request, "OIDCProviderArn")) {
        reply_missing(reply, token ? "OIDCProviderArn" : "OIDCToken");
        return false;
    }
    if (!sts->oidc_token_file || is_good_token(token, sts->oidc_token_file))
        return true;
    reply_error(reply, 400, "AuthenticationFail.OIDCToken.Invalid",
                "This OIDC token is not valid or has expired.");
    return false;
}

void sts_run(const struct sts *sts, const struct request *request, struct reply *reply)
{
    const char *version = request_version(request);
    bool oidc = false;
    int64_t duration_s;
    sts_has(request_action(request), &oidc);
    if (!version || strcmp(version, "2015-04-01") != 0) {
        reply_error(reply, 400, "NoSuchVersion", "The specified version does not exist.");
        return;
    }
    if (!check_role(request, reply) || (oidc && !check_oidc(sts, request, reply)) ||
        !read_duration(request, &duration_s, reply))
        return;
    const char *arn = request_parameter(request, "RoleArn");
    reply_object(reply, json_pack("{s:{s:s, s:s}, s:o}", "AssumedRoleUser", "Arn", arn, "AssumedRoleId",
                                  "300000000000000001:session", "Credentials",
                                  issue(sts->sessions, duration_s)));
}

/* -- what an ECS instance finds at 100.100.100.200, and a credentials URI --------------- */

#define ROLES "/latest/meta-data/ram/security-credentials/"

enum { SESSION_S = 6 * 3600 };

/* There is one token: whoever may ask for it has it. */
static const char metadata_token[] = "emulator-metadata-token";

static void answer_token(const struct metadata *metadata, const struct request *request,
                         struct reply *reply)
{
    unsigned int seconds;
    const char *asked = request_header(request, "x-aliyun-ecs-metadata-token-ttl-seconds");
    if (strcmp(request->method, "PUT") != 0)
        reply_error(reply, 405, "MethodNotAllowed", "PUT it.");
    else if (!asked || sscanf(asked, "%6u", &seconds) != 1 || seconds < 1 || seconds > 21600)
        reply_error(reply, 400, "BadRequest", "X-aliyun-ecs-metadata-token-ttl-seconds: 1 to 21600.");
    else
        reply_text(reply, metadata_token);
}

static void answer_role(const struct metadata *metadata, const struct request *request,
                        struct reply *reply)
{
    reply_text(reply, metadata->role);
}

static void answer_region(const struct metadata *metadata, const struct request *request,
                          struct reply *reply)
{
    reply_text(reply, metadata->region);
}

/* Each time another. */
static void answer_session(const struct metadata *metadata, const struct request *request,
                           struct reply *reply)
{
    json_t *session = issue(metadata->sessions, SESSION_S);
    json_object_set_new(session, "Code", json_string("Success"));
    reply_object(reply, session);
}

static void answer_session_of_role(const struct metadata *metadata, const struct request *request,
                                   struct reply *reply)
{
    if (strcmp(request->path + strlen(ROLES), metadata->role) == 0)
        answer_session(metadata, request, reply);
    else
        reply_error(reply, 404, "NotFound", "No such role.");
}

static const struct row {
    const char *path, *name;
    bool anything_behind, needs_token;
    void (*run)(const struct metadata *metadata, const struct request *request, struct reply *reply);
} metadata_paths[] = {
    {"/latest/api/token", "Metadata.Token", false, false, answer_token},
    {ROLES, "Metadata.Role", false, true, answer_role},
    {ROLES, "Metadata.Session", true, true, answer_session_of_role},
    {"/latest/meta-data/region-id", "Metadata.Region", false, true, answer_region},
    {"/_credentials", "CredentialsUri", false, false, answer_session},
};

static const struct row *find(const struct request *request)
{
    for (size_t i = 0; i < sizeof(metadata_paths) / sizeof(metadata_paths[0]); i++)
        if (strcmp(request->path, metadata_paths[i].path) == 0 ||
            (metadata_paths[i].anything_behind &&
             strncmp(request->path, metadata_paths[i].path, strlen(metadata_paths[i].path)) == 0))
            return &metadata_paths[i];
    return NULL;
}

const char *metadata_operation(const struct request *request)
{
    const struct row *row = request->path ? find(request) : NULL;
    return row ? row->name : NULL;
}

void metadata_run(const struct metadata *metadata, const struct request *request,
                  struct reply *reply)
{
    const struct row *row = find(request);
    const char *told = request_header(request, "x-aliyun-ecs-metadata-token");
    if (row->needs_token && (told ? strcmp(told, metadata_token) != 0 : metadata->only_with_token))
        reply_error(reply, 403, "Forbidden", "The metadata token is missing or wrong.");
    else
        row->run(metadata, request, reply);
}
