#include "kmsapi/kms_error.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "kmsapi/error_text.h"

/* The last one fits everything. aapfs(7) prints them: a build makes its table from here. */
static const struct kms_error_rule rules[] = {
    {"Throttling*", 0, 0, EAGAIN, KMS_RETRY_THROTTLED},
    {"*Throttling", 0, 0, EAGAIN, KMS_RETRY_THROTTLED},
    {"ServiceUnavailable*", 0, 0, EAGAIN, KMS_RETRY_NOT_CREATIONS},
    {"InternalFailure", 0, 0, EIO, KMS_RETRY_NOT_CREATIONS},
    {"InternalError", 0, 0, EIO, KMS_RETRY_NOT_CREATIONS},
    /* our nonces are fresh: the request came twice, and its first copy may have been carried out */
    {"SignatureNonceUsed", 0, 0, EIO, KMS_RETRY_READ_ONCE},
    {"InvalidTimeStamp.Expired", 0, 0, EIO, KMS_RETRY_CLOCK},
    {"InvalidAccessKeyId.*", 0, 0, EACCES, KMS_RETRY_NEVER},
    {"InvalidSecurityToken.*", 0, 0, EACCES, KMS_RETRY_NEVER},
    {"SignatureDoesNotMatch", 0, 0, EACCES, KMS_RETRY_NEVER},
    {"IncompleteSignature", 0, 0, EACCES, KMS_RETRY_NEVER},
    {"Forbidden.*NotFound", 0, 0, ENOENT, KMS_RETRY_NEVER},
    {"Forbidden*", 0, 0, EACCES, KMS_RETRY_NEVER},
    {"Rejected.ResourceExist", 0, 0, EEXIST, KMS_RETRY_NEVER},
    {"Rejected.LimitExceeded", 0, 0, EDQUOT, KMS_RETRY_NEVER},
    {"Rejected.StateModifiedFailed", 0, 0, EBUSY, KMS_RETRY_NEVER},
    /* not about a parameter, though they begin like those that are */
    {"InvalidApi.*", 0, 0, EIO, KMS_RETRY_NEVER},
    {"InvalidProduct.*", 0, 0, EIO, KMS_RETRY_NEVER},
    {"InvalidProtocol.*", 0, 0, EIO, KMS_RETRY_NEVER},
    {"InvalidSignatureMethod", 0, 0, EIO, KMS_RETRY_NEVER},
    {"InvalidTimeStamp.*", 0, 0, EIO, KMS_RETRY_NEVER},
    {"ParseRequestParameterException", 0, 0, EINVAL, KMS_RETRY_NEVER},
    {"Missing*", 0, 0, EINVAL, KMS_RETRY_NEVER},
    {"Invalid*", 0, 0, EINVAL, KMS_RETRY_NEVER},
    {"*", 429, 429, EAGAIN, KMS_RETRY_THROTTLED},
    {"*", 503, 503, EAGAIN, KMS_RETRY_NOT_CREATIONS},
    {"*", 500, 599, EIO, KMS_RETRY_NOT_CREATIONS},
    {"*", 0, 0, EIO, KMS_RETRY_NEVER},
};
enum { RULE_COUNT = sizeof(rules) / sizeof(rules[0]) };

static bool matches(const char *pattern, const char *code)
{
    const char *star = strchr(pattern, '*');
    if (!star)
        return strcmp(pattern, code) == 0;
    size_t head = (size_t)(star - pattern), tail = strlen(star + 1), size = strlen(code);
    return size >= head + tail && memcmp(pattern, code, head) == 0 &&
           memcmp(star + 1, code + size - tail, tail) == 0;
}

static const struct kms_error_rule *find(const char *code, long http_status)
{
    const struct kms_error_rule *rule = rules, *last = &rules[RULE_COUNT - 1];
    while (rule < last &&
           (!matches(rule->pattern, code) ||
            (rule->status_most && (http_status < rule->status_least || http_status > rule->status_most))))
        rule++;
    return rule;
}

int kms_error_errno(const char *code, long http_status)
{
    return find(code, http_status)->number;
}

enum kms_retry kms_error_retry(const char *code, long http_status)
{
    return find(code, http_status)->retry;
}

bool kms_error_is_ambiguous(const char *code, long http_status)
{
    enum kms_retry retry = kms_error_retry(code, http_status);
    return retry == KMS_RETRY_NOT_CREATIONS || retry == KMS_RETRY_READ_ONCE;
}

bool kms_error_is_about_credentials(const char *code, long http_status)
{
    return http_status >= 400 && http_status < 500 &&
           (matches("InvalidAccessKeyId*", code) || matches("InvalidSecurityToken*", code) ||
            matches("SignatureDoesNotMatch", code) || matches("IncompleteSignature", code) ||
            matches("Forbidden.AccessKey", code));
}

bool kms_error_is_forbidden(const char *code, long http_status)
{
    return http_status >= 400 && http_status < 500 &&
           (matches("Forbidden", code) || matches("Forbidden.NoPermission", code) || matches("Forbidden.RAM", code));
}

bool kms_error_is_about_the_instance(const char *code)
{
    return matches("Forbidden.DKMSInstance*", code);
}

const struct kms_error_rule *kms_error_rule(size_t i)
{
    return i < RULE_COUNT ? &rules[i] : NULL;
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
