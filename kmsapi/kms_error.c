#include "kmsapi/kms_error.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "kmsapi/error_text.h"

/* The first row that matches counts. */
static const struct row {
    const char *pattern;
    int number;
    enum kms_retry retry;
} rows[] = {
    {"Throttling*", EAGAIN, KMS_RETRY_THROTTLED},
    {"*Throttling", EAGAIN, KMS_RETRY_THROTTLED},
    {"ServiceUnavailable*", EAGAIN, KMS_RETRY_UNAVAILABLE},
    {"InternalFailure", EIO, KMS_RETRY_READ_ONLY},
    {"InternalError", EIO, KMS_RETRY_READ_ONLY},
    /* our nonces are fresh: the request came twice, and its first copy may have been carried out */
    {"SignatureNonceUsed", EIO, KMS_RETRY_READ_ONLY},
    {"InvalidAccessKeyId.*", EACCES, KMS_RETRY_NEVER},
    {"InvalidSecurityToken.*", EACCES, KMS_RETRY_NEVER},
    {"SignatureDoesNotMatch", EACCES, KMS_RETRY_NEVER},
    {"IncompleteSignature", EACCES, KMS_RETRY_NEVER},
    {"Forbidden.*NotFound", ENOENT, KMS_RETRY_NEVER},
    {"Forbidden*", EACCES, KMS_RETRY_NEVER},
    {"Rejected.ResourceExist", EEXIST, KMS_RETRY_NEVER},
    {"Rejected.LimitExceeded", EDQUOT, KMS_RETRY_NEVER},
    {"Rejected.StateModifiedFailed", EBUSY, KMS_RETRY_NEVER},
    /* not about a parameter, though they begin like those that are */
    {"InvalidApi.*", EIO, KMS_RETRY_NEVER},
    {"InvalidProduct.*", EIO, KMS_RETRY_NEVER},
    {"InvalidProtocol.*", EIO, KMS_RETRY_NEVER},
    {"InvalidSignatureMethod", EIO, KMS_RETRY_NEVER},
    {"InvalidTimeStamp.*", EIO, KMS_RETRY_NEVER},
    {"ParseRequestParameterException", EINVAL, KMS_RETRY_NEVER},
    {"Missing*", EINVAL, KMS_RETRY_NEVER},
    {"Invalid*", EINVAL, KMS_RETRY_NEVER},
};
enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

static bool matches(const char *pattern, const char *code)
{
    const char *star = strchr(pattern, '*');
    if (!star)
        return strcmp(pattern, code) == 0;
    size_t head = (size_t)(star - pattern), tail = strlen(star + 1), size = strlen(code);
    return size >= head + tail && memcmp(pattern, code, head) == 0 &&
           memcmp(star + 1, code + size - tail, tail) == 0;
}

static const struct row *find(const char *code)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (matches(rows[i].pattern, code))
            return &rows[i];
    return NULL;
}

int kms_error_errno(const char *code, long http_status)
{
    const struct row *row = find(code);
    if (row)
        return row->number;
    return http_status == 429 || http_status == 503 ? EAGAIN : EIO;
}

enum kms_retry kms_error_retry(const char *code, long http_status)
{
    const struct row *row = find(code);
    if (row)
        return row->retry;
    if (http_status == 429)
        return KMS_RETRY_THROTTLED;
    if (http_status == 503)
        return KMS_RETRY_UNAVAILABLE;
    return http_status >= 500 ? KMS_RETRY_READ_ONLY : KMS_RETRY_NEVER;
}

bool kms_error_is_about_credentials(const char *code, long http_status)
{
    return http_status >= 400 && http_status < 500 &&
           (matches("InvalidAccessKeyId*", code) || matches("InvalidSecurityToken*", code));
}

bool kms_error_is_forbidden(const char *code, long http_status)
{
    return http_status >= 400 && http_status < 500 && matches("Forbidden*", code) &&
           kms_error_errno(code, http_status) == EACCES;
}

bool kms_error_row(size_t i, const char **pattern, int *number, enum kms_retry *retry)
{
    if (i >= ROW_COUNT)
        return false;
    *pattern = rows[i].pattern;
    *number = rows[i].number;
    *retry = rows[i].retry;
    return true;
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
