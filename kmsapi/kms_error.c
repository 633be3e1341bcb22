#include "kmsapi/kms_error.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kmsapi/base/error_text.h"

/*
 * The last one fits everything. aapfs(7) prints them: a build makes its table from here. What is known by its name comes first,
 * then what the status says of it, then whole families.
 */
static const struct kms_error_rule rules[] = {
    {"Throttling*", NULL, 0, 0, EAGAIN, KMS_RETRY_THROTTLED},
    {"*.Throttling*", NULL, 0, 0, EAGAIN, KMS_RETRY_THROTTLED},
    {"ServiceUnavailable*", NULL, 0, 0, EAGAIN, KMS_RETRY_NOT_CREATIONS},
    {"InternalFailure", NULL, 0, 0, EIO, KMS_RETRY_NOT_CREATIONS},
    {"InternalError", NULL, 0, 0, EIO, KMS_RETRY_NOT_CREATIONS},
    /* our nonces are fresh: the request came twice, and its first copy may have been carried out */
    {"SignatureNonceUsed", NULL, 0, 0, EIO, KMS_RETRY_READ_ONCE},
    /* KMS says IllegalTimestamp, and that it is missing, where it is of another time */
    {"InvalidTimeStamp.Format", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
    {"*TimeStamp*", NULL, 0, 0, EIO, KMS_RETRY_CLOCK},
    {"*TimeTooSkewed*", NULL, 0, 0, EIO, KMS_RETRY_CLOCK},
    {"*Parameter*", "*Timestamp*", 0, 0, EIO, KMS_RETRY_CLOCK},
    /* the access key or the session itself */
    {"*AccessKey*", NULL, 0, 0, EACCES, KMS_RETRY_CREDENTIALS},
    {"*SecurityToken*", NULL, 0, 0, EACCES, KMS_RETRY_CREDENTIALS},
    {"*Parameter*", "*AccessKey*", 0, 0, EACCES, KMS_RETRY_CREDENTIALS},
    {"*Parameter*", "*Security*Token*", 0, 0, EACCES, KMS_RETRY_CREDENTIALS},
    {"*SignatureMethod*", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
    {"*SignatureVersion*", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
    {"*SignatureNonce*", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
    {"*Signature*", NULL, 0, 0, EACCES, KMS_RETRY_CREDENTIALS},
    {"*Parameter*", "*Signature*", 0, 0, EACCES, KMS_RETRY_CREDENTIALS},
    {"Forbidden.*NotFound", NULL, 0, 0, ENOENT, KMS_RETRY_NEVER},
    {"Forbidden*", NULL, 0, 0, EACCES, KMS_RETRY_NEVER},
    {"*NoPermission*", NULL, 0, 0, EACCES, KMS_RETRY_NEVER},
    {"*AccessDenied*", NULL, 0, 0, EACCES, KMS_RETRY_NEVER},
    {"*Unauthorized*", NULL, 0, 0, EACCES, KMS_RETRY_NEVER},
    {"Rejected.ResourceExist", NULL, 0, 0, EEXIST, KMS_RETRY_NEVER},
    {"Rejected.LimitExceeded", NULL, 0, 0, EDQUOT, KMS_RETRY_NEVER},
    {"Rejected.StateModifiedFailed", NULL, 0, 0, EBUSY, KMS_RETRY_NEVER},
    /* not about a parameter, though they begin like those that are, or of no person: the endpoint is not KMS's */
    {"InvalidApi*", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
    {"InvalidAction*", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
    {"InvalidVersion*", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
    {"InvalidProduct*", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
    {"InvalidProtocol*", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
    {"*Parameter*", "Action*", 0, 0, EIO, KMS_RETRY_NEVER},
    {"UnsupportedHTTPMethod", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
    {"*Resource*", NULL, 404, 404, ENOENT, KMS_RETRY_NEVER},
    {"*ApplicationAccessPoint*", NULL, 404, 404, ENOENT, KMS_RETRY_NEVER},
    {"*Aap*", NULL, 404, 404, ENOENT, KMS_RETRY_NEVER},
    {"*Key*Not*", NULL, 404, 404, ENOENT, KMS_RETRY_NEVER},
    {"*Not*Key*", NULL, 404, 404, ENOENT, KMS_RETRY_NEVER},
    {"*", NULL, 401, 401, EACCES, KMS_RETRY_NEVER},
    {"*", NULL, 403, 403, EACCES, KMS_RETRY_NEVER},
    {"*", NULL, 408, 408, EAGAIN, KMS_RETRY_NOT_CREATIONS},
    {"*", NULL, 429, 429, EAGAIN, KMS_RETRY_THROTTLED},
    {"*", NULL, 503, 503, EAGAIN, KMS_RETRY_NOT_CREATIONS},
    {"*", NULL, 500, 599, EIO, KMS_RETRY_NOT_CREATIONS},
    {"ParseRequestParameterException", NULL, 0, 0, EINVAL, KMS_RETRY_NEVER},
    {"UnsupportedParameter", NULL, 0, 0, EINVAL, KMS_RETRY_NEVER},
    {"Missing*", NULL, 0, 0, EINVAL, KMS_RETRY_NEVER},
    {"Invalid*", NULL, 0, 0, EINVAL, KMS_RETRY_NEVER},
    {"*", NULL, 0, 0, EIO, KMS_RETRY_NEVER},
};
enum { RULE_COUNT = sizeof(rules) / sizeof(rules[0]) };

static bool matches(const char *pattern, const char *text)
{
    return fnmatch(pattern, text, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
}

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

/* Whether PATTERN fits the word that TEXT begins with, with quotation marks or without. */
static bool begins_with(const char *pattern, const char *text)
{
    char word[64];
    const char *begin = text;
    while (*begin && !isalnum((unsigned char)*begin) && begin - text < 4)
        begin++;
    snprintf(word, sizeof(word), "%.*s", (int)strspn(begin, letters), begin);
    return matches(pattern, word);
}

/*
 * Whether MESSAGE names a parameter that PATTERN fits: its first word, or the one behind "parameter", "Param", "specified" or
 * "value of". Further words may be of a value that somebody gave.
 */
static bool is_about(const char *pattern, const char *message)
{
    static const char *const before[] = {"param", "specified", "value of"};
    bool found = begins_with(pattern, message);
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
        for (const char *at = strcasestr(message, before[i]); at && !found; at = strcasestr(at, before[i])) {
            at += strlen(before[i]);
            at += strspn(at, letters); /* the whole of "parameter" */
            found = begins_with(pattern, at);
        }
    return found;
}

static bool fits(const struct kms_error_rule *rule, const char *code, const char *message, long http_status)
{
    return matches(rule->pattern, code) && (!rule->about || is_about(rule->about, message)) &&
           (!rule->status_most || (http_status >= rule->status_least && http_status <= rule->status_most));
}

static const struct kms_error_rule *find(const char *code, const char *message, long http_status)
{
    const struct kms_error_rule *rule = rules, *last = &rules[RULE_COUNT - 1];
    while (rule < last && !fits(rule, code, message, http_status))
        rule++;
    return rule;
}

int kms_error_errno(const struct kms_error *error)
{
    return find(error->code, error->message, error->http_status)->number;
}

enum kms_retry kms_error_retry(const struct kms_error *error)
{
    return find(error->code, error->message, error->http_status)->retry;
}

bool kms_error_is_ambiguous(const struct kms_error *error)
{
    enum kms_retry retry = kms_error_retry(error);
    if (retry == KMS_RETRY_THROTTLED)
        return false;
    return retry == KMS_RETRY_NOT_CREATIONS || retry == KMS_RETRY_READ_ONCE || error->http_status >= 500 ||
           !kms_error_is_of_kms(error);
}

/* Words with dots between them, as all of KMS's and its gateway's are; "403" and "403 Forbidden" are of others. */
static bool is_code_of_kms(const char *code)
{
    return isalpha((unsigned char)code[0]) &&
           code[strspn(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.")] == '\0';
}

/* Others have a code to tell as well: firewalls, gateways of one's own. */
bool kms_error_is_of_kms(const struct kms_error *error)
{
    return error->http_status && !matches("Http.*", error->code) && !matches("Answer.*", error->code) &&
           (error->request_id[0] || is_code_of_kms(error->code));
}

bool kms_error_is_about_credentials(const struct kms_error *error)
{
    return error->http_status >= 400 && error->http_status < 500 && kms_error_retry(error) == KMS_RETRY_CREDENTIALS;
}

bool kms_error_is_about_the_clock(const struct kms_error *error)
{
    return error->http_status && kms_error_retry(error) == KMS_RETRY_CLOCK;
}

bool kms_error_is_about_the_endpoint(const struct kms_error *error)
{
    static const char *const patterns[] = {"InvalidApi*", "InvalidProduct*", "InvalidProtocol*", "InvalidAction*",
                                           "InvalidVersion*", "NoSuchVersion", "UnsupportedOperation"};
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        if (matches(patterns[i], error->code))
            return true;
    return (matches("*Parameter*", error->code) && is_about("Action*", error->message)) ||
           (error->http_status && !kms_error_is_of_kms(error));
}

bool kms_error_is_forbidden(const char *code, long http_status)
{
    static const char *const patterns[] = {"Forbidden", "Forbidden.NoPermission*", "Forbidden.RAM*", "NoPermission*",
                                           "AccessDenied*", "Forbidden.AccessDenied*", "Forbedden.NotSupportRAM",
                                           "ActionUnauthorized", "Unauthorized*"};
    for (size_t i = 0; http_status >= 400 && http_status < 500 && i < sizeof(patterns) / sizeof(patterns[0]); i++)
        if (matches(patterns[i], code))
            return true;
    return false;
}

bool kms_error_is_about_the_instance(const char *code)
{
    return matches("Forbidden.*Instance*", code);
}

bool kms_error_is_gone(const struct kms_error *error)
{
    static const struct {
        const char *operation, *code;
    } sure[] = {
        {"*", "Forbidden.ResourceNotFound"},
        {"*ClientKey", "Forbidden.KeyNotFound"},
        {"*ClientKey", "Forbidden.ClientKeyNotFound"},
        {"*ApplicationAccessPoint", "Forbidden.ApplicationAccessPointNotFound"},
        {"*ApplicationAccessPoint", "Forbidden.AapNotFound"},
    };
    for (size_t i = 0; error->number == ENOENT && error->http_status >= 400 && i < sizeof(sure) / sizeof(sure[0]); i++)
        if (matches(sure[i].operation, error->operation) && matches(sure[i].code, error->code))
            return error->http_status < 500;
    return false;
}

const struct kms_error_rule *kms_error_rule(size_t i)
{
    return i < RULE_COUNT ? &rules[i] : NULL;
}

struct kms_error kms_error_make(const char *operation, int number, const char *code, const char *format, ...)
{
    struct kms_error error = {.number = number};
    va_list arguments;
    snprintf(error.operation, sizeof(error.operation), "%s", operation);
    snprintf(error.code, sizeof(error.code), "%s", code);
    va_start(arguments, format);
    vsnprintf(error.message, sizeof(error.message), format, arguments);
    va_end(arguments);
    return error;
}

void kms_error_set_message(struct kms_error *error, const char *message, size_t size,
                           const char *password)
{
    error_text_clean(message, size, password, error->message, sizeof(error->message));
}

void kms_error_set_code(struct kms_error *error, const char *code, const char *password)
{
    error_text_clean(code, strlen(code), password, error->code, sizeof(error->code));
}

void kms_error_set_request_id(struct kms_error *error, const char *request_id,
                              const char *password)
{
    error_text_clean(request_id, strlen(request_id), password, error->request_id,
                     sizeof(error->request_id));
}
