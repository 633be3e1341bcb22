#include "kmsapi/credentials/sts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "kmsapi/acs3.h"
#include "kmsapi/base/endpoint.h"
#include "kmsapi/base/error_text.h"
#include "kmsapi/credentials/http.h"
#include "kmsapi/credentials/private_file.h"
#include "kmsapi/credentials/session_answer.h"
#include "kmsapi/iso_time.h"
#include "kmsapi/openssl_cleanup.h"
#include "kmsapi/rpc2.h"
#include "kmsapi/transport_error.h"

enum {
    CONNECT_MS = 5000, WHOLE_MS = 15000,
    PARAMETERS_MOST = 20, CLOCK_WRONG_S = 60,
    DURATION_USUAL_S = 3600, DURATION_LEAST_S = 900, DURATION_MOST_S = 43200,
};

/* One call: what goes into the query, and what into the form behind it. */
struct call {
    struct acs3_pair parameters[PARAMETERS_MOST];
    size_t count, form_begin;
    char timestamp[ISO_TIME_SIZE], nonce[33], duration[24], session_name[40];
    struct rpc2_signature signature;
    const char *secret, *token; /* what must not stand in an error; NULL: none */
};

/* How a call that failed did so. */
struct failure {
    struct kms_error error;
    bool passing; /* it may be over soon */
};

static void add(struct call *call, const char *name, const char *value)
{
    if (value && call->count < PARAMETERS_MOST)
        call->parameters[call->count++] = (struct acs3_pair){name, value};
}

static int64_t sts_now(const struct fetching *fetching)
{
    return time(NULL) + *fetching->clock_offset_s;
}

static int begin(const struct fetching *fetching, const char *action, struct call *call)
{
    unsigned char random[16];
    if (RAND_bytes(random, sizeof(random)) != 1 ||
        iso_time_format(sts_now(fetching), call->timestamp) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(call->nonce + 2 * i, 3, "%02x", random[i]);
    add(call, "Action", action);
    add(call, "Format", "JSON");
    add(call, "Version", "2015-04-01");
    add(call, "Timestamp", call->timestamp);
    add(call, "SignatureNonce", call->nonce);
    return 0;
}

static void add_role(struct call *call, const struct sts_role *role)
{
    int64_t duration_s = role->duration_s ? role->duration_s : DURATION_USUAL_S;
    snprintf(call->duration, sizeof(call->duration), "%lld", (long long)duration_s);
    snprintf(call->session_name, sizeof(call->session_name), "aapfs-%lld", (long long)time(NULL));
    add(call, "RoleArn", role->arn);
    add(call, "RoleSessionName", role->session_name ? role->session_name : call->session_name);
    add(call, "DurationSeconds", call->duration);
    add(call, "Policy", role->policy);
    add(call, "ExternalId", role->external_id);
}

static int sign(const struct credentials *credentials, struct call *call)
{
    int r = rpc2_sign("POST", call->parameters, call->count, credentials->access_key_secret,
                      &call->signature);
    /* in front of the form: the query ends with it */
    for (size_t i = call->count; r == 0 && i > call->form_begin; i--)
        call->parameters[i] = call->parameters[i - 1];
    if (r == 0) {
        call->parameters[call->form_begin++] =
            (struct acs3_pair){"Signature", call->signature.signature};
        call->count++;
    }
    return r;
}

static int find_endpoint(const struct fetching *fetching, const struct sts_role *role,
                         struct endpoint *endpoint, char *reason, size_t size)
{
    char host[300], why[200];
    const char *vpc_region = fetching->options->vpc_region;
    const char *region = role->region ? role->region : vpc_region;
    const char *given = fetching->options->sts ? fetching->options->sts : role->endpoint;
    if (given)
        snprintf(host, sizeof(host), "%s", given);
    else if (region)
        snprintf(host, sizeof(host), "sts%s.%.64s.aliyuncs.com", role->vpc || vpc_region ? "-vpc" : "",
                 region);
    else
        snprintf(host, sizeof(host), "sts.aliyuncs.com");
    int r = endpoint_parse(host, endpoint, why, sizeof(why));
    if (r < 0)
        snprintf(reason, size, "the endpoint of STS: %s", why);
    return r;
}

static char *make_url(const struct endpoint *endpoint, const struct call *call)
{
    _cleanup_(secret_string) char *query =
        acs3_canonical_query(call->parameters, call->form_begin);
    size_t room = query ? strlen(query) + sizeof(endpoint->authority) + 16 : 0;
    char *url = query ? OPENSSL_malloc(room) : NULL;
    if (url)
        snprintf(url, room, "%s://%s/?%s", endpoint->tls ? "https" : "http", endpoint->authority,
                 query);
    return url;
}

static bool is_passing(const struct kms_error *error)
{
    enum kms_retry retry = kms_error_retry(error);
    return retry == KMS_RETRY_THROTTLED || retry == KMS_RETRY_NOT_CREATIONS || retry == KMS_RETRY_READ_ONCE;
}

static bool tells_secret(const char *text, const struct call *call)
{
    return error_text_tells(text, call->secret) || error_text_tells(text, call->token);
}

/* STS may quote what it was told, or a part of it. */
static void explain_refusal(const struct kms_error *error, const struct call *call, char *reason,
                            size_t size)
{
    if (tells_secret(error->code, call))
        snprintf(reason, size, "STS refused with status %ld, in words that tell a secret",
                 error->http_status);
    else if (tells_secret(error->message, call))
        snprintf(reason, size, "STS refused: %.60s, in words that tell a secret", error->code);
    else
        snprintf(reason, size, "STS refused: %.60s: %.160s", error->code, error->message);
}

static int read_answer(const struct http_answer *answer, const struct call *call,
                       struct session *session, struct failure *failure, char *reason, size_t size)
{
    if (answer->status != 200) {
        struct kms_error *error = &failure->error;
        transport_error_of_answer(error, answer->status, answer->body, answer->size,
                                  call->secret ? call->secret : call->token);
        failure->passing = answer->passing || is_passing(error);
        explain_refusal(error, call, reason, size);
        return -EACCES;
    }
    json_t *object = session_answer_parse(answer->body, answer->size, reason, size);
    const json_t *inner = json_object_get(object, "Credentials");
    int r = -EINVAL;
    if (json_is_object(inner))
        r = session_answer_read(inner, session_answer_clocks(answer), session, reason, size);
    else if (object)
        snprintf(reason, size, "the answer of STS has no Credentials");
    if (r == 0 && session->life_s == 0) {
        snprintf(reason, size, "the answer of STS has no Expiration");
        credentials_clear(&session->credentials);
        r = -EINVAL;
    }
    json_decref(object);
    return r;
}

static int post(const struct fetching *fetching, const struct sts_role *role,
                const struct call *call, struct session *session, struct failure *failure,
                char *reason, size_t size)
{
    struct endpoint endpoint;
    struct http_answer answer;
    int r = find_endpoint(fetching, role, &endpoint, reason, size);
    if (r < 0)
        return r;
    _cleanup_(secret_string) char *url = make_url(&endpoint, call);
    _cleanup_(secret_string) char *form = acs3_canonical_query(
        call->parameters + call->form_begin, call->count - call->form_begin);
    if (!url || !form)
        return -ENOMEM;
    const struct http_request request = {
        .method = "POST",
        .url = url,
        .body = form,
        .headers = {"content-type: application/x-www-form-urlencoded", "accept: application/json"},
        .connect_ms = CONNECT_MS,
        .whole_ms = WHOLE_MS,
    };
    r = http_ask(fetching, &request, &answer, reason, size);
    failure->passing = answer.passing;
    if (r == 0) {
        if (answer.server_date)
            *fetching->clock_offset_s = answer.server_date - time(NULL);
        r = read_answer(&answer, call, session, failure, reason, size);
    }
    http_answer_clear(&answer);
    return r;
}

static int check_role(const struct sts_role *role, char *reason, size_t size)
{
    if (!role->arn || !role->arn[0]) {
        snprintf(reason, size, "the ARN of the role is missing");
        return -EINVAL;
    }
    if (role->duration_s &&
        (role->duration_s < DURATION_LEAST_S || role->duration_s > DURATION_MOST_S)) {
        snprintf(reason, size, "a session of %lld s: STS gives 900 to 43200",
                 (long long)role->duration_s);
        return -EINVAL;
    }
    return 0;
}

/* With CREDENTIALS it is AssumeRole, with a token AssumeRoleWithOIDC. */
void sts_role_complete(struct sts_role *role)
{
    if (!role->arn)
        role->arn = provider_variable("ALIBABA_CLOUD_ROLE_ARN");
    if (!role->session_name)
        role->session_name = provider_variable("ALIBABA_CLOUD_ROLE_SESSION_NAME");
    if (!role->region)
        role->region = provider_variable("ALIBABA_CLOUD_STS_REGION");
    role->vpc = role->vpc || provider_switch("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED");
}

struct question {
    const struct credentials *credentials;
    const char *provider_arn, *token;
    const struct sts_role *role;
};

static int begin_signed(const struct fetching *fetching, const struct credentials *credentials,
                        struct call *call)
{
    int r = begin(fetching, "AssumeRole", call);
    add(call, "SignatureMethod", "HMAC-SHA1");
    add(call, "SignatureVersion", "1.0");
    add(call, "AccessKeyId", credentials->access_key_id);
    add(call, "SecurityToken", credentials->security_token);
    call->form_begin = call->count;
    call->secret = credentials->access_key_secret;
    call->token = credentials->security_token;
    return r;
}

static int begin_with_token(const struct fetching *fetching, const struct question *question,
                            struct call *call)
{
    int r = begin(fetching, "AssumeRoleWithOIDC", call);
    call->form_begin = call->count;
    add(call, "OIDCProviderArn", question->provider_arn);
    add(call, "OIDCToken", question->token);
    call->token = question->token;
    return r;
}

static int ask_once(const struct fetching *fetching, const struct question *question,
                    struct session *session, struct failure *failure, char *reason, size_t size)
{
    struct call call = {0};
    const struct credentials *credentials = question->credentials;
    int r = credentials ? begin_signed(fetching, credentials, &call)
                        : begin_with_token(fetching, question, &call);
    add_role(&call, question->role);
    if (r == 0 && credentials)
        r = sign(credentials, &call);
    if (r == 0)
        r = post(fetching, question->role, &call, session, failure, reason, size);
    rpc2_signature_clear(&call.signature);
    if (r == -ENOMEM)
        snprintf(reason, size, "memory is short");
    return r;
}

static int ask_in_time(const struct fetching *fetching, const struct question *question,
                       struct session *session, struct failure *failure, char *reason, size_t size)
{
    int64_t before = *fetching->clock_offset_s;
    int r = ask_once(fetching, question, session, failure, reason, size);
    /* the answer's Date told the right time */
    if (r < 0 && kms_error_is_about_the_clock(&failure->error) &&
        llabs(*fetching->clock_offset_s - before) > CLOCK_WRONG_S)
        r = ask_once(fetching, question, session, failure, reason, size);
    return r;
}

static int ask(const struct fetching *fetching, const struct question *question,
               struct session *session, char *reason, size_t size)
{
    struct again again = again_begin();
    struct failure failure;
    int r;
    do {
        failure = (struct failure){0};
        r = ask_in_time(fetching, question, session, &failure, reason, size);
    } while (r < 0 && failure.passing && again_after_pause(&again, fetching));
    OPENSSL_cleanse(&failure, sizeof(failure)); /* STS may have quoted a secret */
    return r;
}

int sts_assume_role(const struct fetching *fetching, const struct credentials *credentials,
                    const struct sts_role *role, struct session *session, char *reason, size_t size)
{
    const struct question question = {.credentials = credentials, .role = role};
    int r = check_role(role, reason, size);
    return r < 0 ? r : ask(fetching, &question, session, reason, size);
}

static int read_token(const char *token_file, char **token, char *reason, size_t size)
{
    int r = private_file_read(token_file, token, reason, size);
    if (r == -ENOENT) {
        snprintf(reason, size, "the token file %.160s does not exist", token_file);
        return -EINVAL;
    }
    if (r < 0)
        return r;
    size_t length = strlen(*token);
    while (length > 0 && ((*token)[length - 1] == '\n' || (*token)[length - 1] == '\r'))
        (*token)[--length] = '\0';
    for (size_t i = 0; i < length; i++)
        if ((*token)[i] <= ' ' || (*token)[i] > '~')
            length = 0;
    if (length > 0)
        return 0;
    snprintf(reason, size, "the token file %.160s does not hold one token", token_file);
    return -EINVAL;
}

int sts_assume_role_with_oidc(const struct fetching *fetching, const char *provider_arn,
                              const char *token_file, const struct sts_role *role,
                              struct session *session, char *reason, size_t size)
{
    _cleanup_(secret_string) char *token = NULL;
    int r = check_role(role, reason, size);
    if (r == 0)
        r = read_token(token_file, &token, reason, size);
    if (r < 0)
        return r;
    const struct question question = {.provider_arn = provider_arn, .token = token, .role = role};
    return ask(fetching, &question, session, reason, size);
}
