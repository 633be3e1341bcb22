/*
 * The RAM role of an ECS instance, from its metadata service: with a token (IMDSv2) or, unless that
 * is switched off, without.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kmsapi/cleanup.h"
#include "kmsapi/credentials/http.h"
#include "kmsapi/credentials/provider.h"
#include "kmsapi/credentials/session_answer.h"

#define ROLES "/latest/meta-data/ram/security-credentials/"

/* As the SDKs have it, a second to connect and little more for all; it is on the same machine, or next to it. */
enum { CONNECT_MS = 1000, WHOLE_MS = 1500, ROLE_MOST = 128, TOKEN_MOST = 1024 };

/* A header with the token; "" without one. */
struct metadata {
    const struct fetching *fetching;
    const char *base;
    char token_header[TOKEN_MOST + 64];
};

static int ask(const struct metadata *metadata, const char *method, const char *path,
               const char *header, struct http_answer *answer, char *reason, size_t size)
{
    _cleanup_(free) char *url = NULL;
    if (asprintf(&url, "%s%s", metadata->base, path) < 0) {
        url = NULL;
        return -ENOMEM;
    }
    const struct http_request request = {
        .method = method,
        .url = url,
        .headers = {header[0] ? header : NULL},
        .connect_ms = CONNECT_MS,
        .whole_ms = WHOLE_MS,
        .maybe_nobody = true, /* outside ECS */
    };
    return http_ask_for_success(metadata->fetching, &request, answer, reason, size);
}

/* The one line that ANSWER is, of letters that a header or path may hold. False: it is not. */
static bool take_line(const struct http_answer *answer, const char *refused, char *line, size_t room)
{
    size_t length = strcspn(answer->body, "\r\n");
    size_t rest = strspn(answer->body + length, "\r\n");
    if (length == 0 || length >= room || length + rest != answer->size)
        return false;
    for (size_t i = 0; i < length; i++)
        if (answer->body[i] <= ' ' || answer->body[i] > '~' || strchr(refused, answer->body[i]))
            return false;
    memcpy(line, answer->body, length);
    line[length] = '\0';
    return true;
}

static int get_token(struct metadata *metadata, char *reason, size_t size)
{
    struct http_answer answer;
    char token[TOKEN_MOST];
    int r = ask(metadata, "PUT", "/latest/api/token", "X-aliyun-ecs-metadata-token-ttl-seconds: 21600",
                &answer, reason, size);
    if (r < 0)
        return r;
    if (take_line(&answer, "", token, sizeof(token))) {
        snprintf(metadata->token_header, sizeof(metadata->token_header),
                 "X-aliyun-ecs-metadata-token: %s", token);
    } else {
        snprintf(reason, size, "its token is not one line of text");
        r = -EINVAL;
    }
    OPENSSL_cleanse(token, sizeof(token));
    http_answer_clear(&answer);
    return r;
}

/* With the token; without it where that is refused and may be. */
static int get(struct metadata *metadata, const char *path, struct http_answer *answer,
               char *reason, size_t size)
{
    int r = ask(metadata, "GET", path, metadata->token_header, answer, reason, size);
    if (r == -EIO && metadata->token_header[0] && !provider_switch("ALIBABA_CLOUD_IMDSV1_DISABLED"))
        r = ask(metadata, "GET", path, "", answer, reason, size);
    return r;
}

static bool is_role(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);
    return length > 0 && length < ROLE_MOST && strspn(name, letters) == length && name[0] != '.';
}

static int find_role(struct metadata *metadata, char role[static ROLE_MOST], char *reason,
                     size_t size)
{
    struct http_answer answer;
    int r = get(metadata, ROLES, &answer, reason, size);
    if (r == -EIO && answer.status == 404)
        snprintf(reason, size, "this instance has no RAM role");
    if (r < 0)
        return r;
    if (!take_line(&answer, "/", role, ROLE_MOST) || !is_role(role)) {
        snprintf(reason, size, "the metadata service does not name one RAM role");
        r = -EINVAL;
    }
    http_answer_clear(&answer);
    return r;
}

static int get_session(struct metadata *metadata, const char *role, struct session *session,
                       char *reason, size_t size)
{
    char path[sizeof(ROLES) + ROLE_MOST];
    struct http_answer answer;
    snprintf(path, sizeof(path), "%s%s", ROLES, role);
    int r = get(metadata, path, &answer, reason, size);
    if (r == 0)
        r = session_answer_read_http(&answer, session, reason, size);
    http_answer_clear(&answer);
    return r;
}

/* Where nobody is reached there is nobody without a token either; who does not answer may answer without one. */
static int begin(struct metadata *metadata, char *reason, size_t size)
{
    int r = get_token(metadata, reason, size);
    bool final = r == -ENOMEM || r == -EHOSTUNREACH || provider_switch("ALIBABA_CLOUD_IMDSV1_DISABLED");
    return r < 0 && !final ? 0 : r;
}

static int fetch(struct metadata *metadata, const char *wanted, struct session *session,
                 char *reason, size_t size)
{
    char role[ROLE_MOST] = "";
    int r = begin(metadata, reason, size);
    if (r == 0 && !wanted)
        r = find_role(metadata, role, reason, size);
    return r < 0 ? r : get_session(metadata, wanted ? wanted : role, session, reason, size);
}

static struct metadata metadata_of(const struct fetching *fetching)
{
    return (struct metadata){
        .fetching = fetching,
        .base = fetching->options->metadata ? fetching->options->metadata : "http://100.100.100.200",
    };
}

int ecs_region(const struct fetching *fetching, const char *argument, char *region, size_t room, char *reason, size_t size)
{
    struct metadata metadata = metadata_of(fetching);
    struct http_answer answer;
    if (provider_switch("ALIBABA_CLOUD_ECS_METADATA_DISABLED")) {
        snprintf(reason, size, "ALIBABA_CLOUD_ECS_METADATA_DISABLED is set");
        return -ENOENT;
    }
    int r = begin(&metadata, reason, size);
    if (r == 0)
        r = get(&metadata, "/latest/meta-data/region-id", &answer, reason, size);
    OPENSSL_cleanse(metadata.token_header, sizeof(metadata.token_header));
    if (r < 0)
        return r;
    if (!take_line(&answer, "/", region, room)) {
        snprintf(reason, size, "the metadata service does not name a region");
        r = -EINVAL;
    }
    http_answer_clear(&answer);
    return r;
}

int provider_ecs_ram_role(const struct fetching *fetching, const char *argument,
                          struct session *session, char *reason, size_t size)
{
    const char *wanted = argument ? argument : provider_variable("ALIBABA_CLOUD_ECS_METADATA");
    struct metadata metadata = metadata_of(fetching);
    if (provider_switch("ALIBABA_CLOUD_ECS_METADATA_DISABLED")) {
        snprintf(reason, size, "ALIBABA_CLOUD_ECS_METADATA_DISABLED is set");
        return -ENOENT;
    }
    if (wanted && !is_role(wanted)) {
        snprintf(reason, size, "the name of the RAM role is not one");
        return -EINVAL;
    }
    int r = fetch(&metadata, wanted, session, reason, size);
    OPENSSL_cleanse(metadata.token_header, sizeof(metadata.token_header));
    return r;
}
