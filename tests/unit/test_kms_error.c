/* KMS's codes: which errno, and whether to try again. */
#include <errno.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kmsapi/kms_error.h"

static const struct {
    const char *code;
    long status;
    int number;
    enum kms_retry retry;
} cases[] = {
    {"Rejected.Throttling", 429, EAGAIN, KMS_RETRY_THROTTLED},
    {"Throttling", 400, EAGAIN, KMS_RETRY_THROTTLED},
    {"Throttling.User", 400, EAGAIN, KMS_RETRY_THROTTLED},
    {"Throttling.Api", 400, EAGAIN, KMS_RETRY_THROTTLED},
    {"ServiceUnavailable", 503, EAGAIN, KMS_RETRY_NOT_CREATIONS},
    {"ServiceUnavailableTemporary", 503, EAGAIN, KMS_RETRY_NOT_CREATIONS},
    {"InternalFailure", 500, EIO, KMS_RETRY_NOT_CREATIONS},
    {"InternalError", 500, EIO, KMS_RETRY_NOT_CREATIONS},
    {"SignatureNonceUsed", 400, EIO, KMS_RETRY_READ_ONCE},
    {"InvalidAccessKeyId.NotFound", 404, EACCES, KMS_RETRY_NEVER},
    {"InvalidAccessKeyId.Inactive", 400, EACCES, KMS_RETRY_NEVER},
    {"InvalidSecurityToken.Expired", 400, EACCES, KMS_RETRY_NEVER},
    {"SignatureDoesNotMatch", 400, EACCES, KMS_RETRY_NEVER},
    {"IncompleteSignature", 400, EACCES, KMS_RETRY_NEVER},
    {"Forbidden.NoPermission", 403, EACCES, KMS_RETRY_NEVER},
    {"Forbidden.RAM", 403, EACCES, KMS_RETRY_NEVER},
    {"Forbidden.AccessKey", 403, EACCES, KMS_RETRY_NEVER},
    {"Forbidden.InDebtOverdue", 403, EACCES, KMS_RETRY_NEVER},
    {"Forbidden.ResourceNotFound", 404, ENOENT, KMS_RETRY_NEVER},
    {"Forbidden.KeyNotFound", 404, ENOENT, KMS_RETRY_NEVER},
    {"Forbidden.AliasNotFound", 404, ENOENT, KMS_RETRY_NEVER},
    {"Forbidden.DKMSInstanceNotFound", 403, ENOENT, KMS_RETRY_NEVER},
    {"Rejected.ResourceExist", 409, EEXIST, KMS_RETRY_NEVER},
    {"Rejected.LimitExceeded", 400, EDQUOT, KMS_RETRY_NEVER},
    {"Rejected.StateModifiedFailed", 409, EBUSY, KMS_RETRY_NEVER},
    {"InvalidParameter", 400, EINVAL, KMS_RETRY_NEVER},
    {"InvalidParameter.Format", 400, EINVAL, KMS_RETRY_NEVER},
    {"InvalidPassword", 400, EINVAL, KMS_RETRY_NEVER},
    {"MissingParameter", 400, EINVAL, KMS_RETRY_NEVER},
    {"MissingPassword", 400, EINVAL, KMS_RETRY_NEVER},
    {"ParseRequestParameterException", 400, EINVAL, KMS_RETRY_NEVER},
    {"InvalidTimeStamp.Expired", 400, EIO, KMS_RETRY_CLOCK},
    {"InvalidTimeStamp.Format", 400, EIO, KMS_RETRY_NEVER},
    {"InvalidApi.NotFound", 404, EIO, KMS_RETRY_NEVER},
    {"InvalidProduct.NotFound", 404, EIO, KMS_RETRY_NEVER},
    {"InvalidSignatureMethod", 400, EIO, KMS_RETRY_NEVER},
    {"InvalidProtocol.NeedSsl", 404, EIO, KMS_RETRY_NEVER},
    {"UnsupportedHTTPMethod", 403, EIO, KMS_RETRY_NEVER},
    {"Something.New", 418, EIO, KMS_RETRY_NEVER},
    {"Something.New", 429, EAGAIN, KMS_RETRY_THROTTLED},
    {"Something.New", 500, EIO, KMS_RETRY_NOT_CREATIONS},
    {"Something.New", 503, EAGAIN, KMS_RETRY_NOT_CREATIONS},
    {"", 502, EIO, KMS_RETRY_NOT_CREATIONS},
    {"NotThrottlingAtAll", 400, EIO, KMS_RETRY_NEVER},
};

static void each_code_has_its_errno_and_retry(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int number = kms_error_errno(cases[i].code, cases[i].status);
        enum kms_retry retry = kms_error_retry(cases[i].code, cases[i].status);
        if (number != cases[i].number || retry != cases[i].retry)
            fail_msg("%s %ld: errno %d, retry %d", cases[i].code, cases[i].status, number,
                     (int)retry);
    }
}

static void every_rule_is_reached_by_a_case(void **state)
{
    const struct kms_error_rule *rule;
    for (size_t i = 0; (rule = kms_error_rule(i)); i++) {
        bool found = false;
        for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++)
            found |= fnmatch(rule->pattern, cases[j].code, 0) == 0 && cases[j].number == rule->number &&
                     cases[j].retry == rule->retry;
        if (!found)
            fail_msg("%s", rule->pattern);
    }
}

static void what_may_have_been_done_is_told(void **state)
{
    assert_true(kms_error_is_ambiguous("SignatureNonceUsed", 400));
    assert_true(kms_error_is_ambiguous("InternalError", 500));
    assert_true(kms_error_is_ambiguous("", 502));
    assert_false(kms_error_is_ambiguous("Rejected.Throttling", 429));
    assert_true(kms_error_is_ambiguous("ServiceUnavailable", 503)); /* a gateway may say so after KMS did it */
    assert_true(kms_error_is_ambiguous("Http.503", 503));
    assert_false(kms_error_is_ambiguous("InvalidTimeStamp.Expired", 400));
    assert_false(kms_error_is_ambiguous("InvalidParameter", 400));
}

static void refused_credentials_are_told_from_other_errors(void **state)
{
    assert_true(kms_error_is_about_credentials("InvalidAccessKeyId.NotFound", 404));
    assert_true(kms_error_is_about_credentials("InvalidSecurityToken.Expired", 400));
    assert_true(kms_error_is_about_credentials("InvalidSecurityToken.MalFormed", 400));
    assert_false(kms_error_is_about_credentials("InvalidSecurityToken.Expired", 500)); /* who knows what it did */
    assert_true(kms_error_is_about_credentials("SignatureDoesNotMatch", 400));
    assert_true(kms_error_is_about_credentials("Forbidden.AccessKey", 403));
    assert_false(kms_error_is_about_credentials("Forbidden.NoPermission", 403));
}

static void what_is_forbidden_is_told_from_what_is_not_there(void **state)
{
    assert_true(kms_error_is_forbidden("Forbidden.NoPermission", 403));
    assert_true(kms_error_is_forbidden("Forbidden.RAM", 403));
    assert_false(kms_error_is_forbidden("Forbidden.ResourceNotFound", 404));
    assert_false(kms_error_is_forbidden("Forbidden.InDebtOverdue", 403));
    assert_false(kms_error_is_forbidden("Forbidden.AccessKey", 403));
    assert_true(kms_error_is_about_the_instance("Forbidden.DKMSInstanceNotFound"));
    assert_false(kms_error_is_about_the_instance("Forbidden.ResourceNotFound"));
    assert_false(kms_error_is_forbidden("InvalidAccessKeyId.NotFound", 404));
    assert_false(kms_error_is_forbidden("Forbidden.NoPermission", 503));
    assert_false(kms_error_is_forbidden("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_has_its_errno_and_retry),
        cmocka_unit_test(every_rule_is_reached_by_a_case),
        cmocka_unit_test(what_may_have_been_done_is_told),
        cmocka_unit_test(refused_credentials_are_told_from_other_errors),
        cmocka_unit_test(what_is_forbidden_is_told_from_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
