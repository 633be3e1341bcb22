/* KMS's codes: which errno, and whether to try again. */
#include <errno.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kmsapi/kms_error.h"

static const struct {
    const char *code;
    long status;
    int number;
    enum kms_retry retry;
    const char *message; /* NULL: one that names no parameter */
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
    {"InvalidAccessKeyId.NotFound", 404, EACCES, KMS_RETRY_CREDENTIALS},
    {"InvalidAccessKeyId.Inactive", 400, EACCES, KMS_RETRY_CREDENTIALS},
    {"InvalidSecurityToken.Expired", 400, EACCES, KMS_RETRY_CREDENTIALS},
    {"SignatureDoesNotMatch", 400, EACCES, KMS_RETRY_CREDENTIALS},
    {"IncompleteSignature", 400, EACCES, KMS_RETRY_CREDENTIALS},
    {"Forbidden.NoPermission", 403, EACCES, KMS_RETRY_NEVER},
    {"Forbidden.RAM", 403, EACCES, KMS_RETRY_NEVER},
    {"Forbidden.AccessKey", 403, EACCES, KMS_RETRY_CREDENTIALS},
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
    {"Rejected.Throttling.User", 400, EAGAIN, KMS_RETRY_THROTTLED},
    /* seen beside the documents */
    {"IllegalTimestamp", 400, EIO, KMS_RETRY_CLOCK, "The input parameter \"Timestamp\" that is required for processing this request is not supplied."},
    {"InvalidTimestamp.Expired", 400, EIO, KMS_RETRY_CLOCK},
    {"InvalidTimeStamp.Expired", 403, EIO, KMS_RETRY_CLOCK},
    {"RequestTimeTooSkewed", 403, EIO, KMS_RETRY_CLOCK},
    {"InvalidParameter", 400, EIO, KMS_RETRY_CLOCK, "The specified parameter \"Timestamp\" is not valid."},
    {"MissingParameter", 400, EIO, KMS_RETRY_CLOCK, "The parameter  Timestamp  needed but no provided."},
    {"InvalidAccessKeyId", 404, EACCES, KMS_RETRY_CREDENTIALS},
    {"InvalidAccessKeyId", 400, EACCES, KMS_RETRY_CREDENTIALS},
    {"InvalidAccessKeySecret", 400, EACCES, KMS_RETRY_CREDENTIALS},
    {"MissingAccessKeyId", 400, EACCES, KMS_RETRY_CREDENTIALS},
    {"MissingSecurityToken", 400, EACCES, KMS_RETRY_CREDENTIALS},
    {"InvalidSecurityToken", 403, EACCES, KMS_RETRY_CREDENTIALS},
    {"SecurityTokenExpired", 400, EACCES, KMS_RETRY_CREDENTIALS},
    {"SignatureNotMatch", 401, EACCES, KMS_RETRY_CREDENTIALS},
    {"MissingSignature", 400, EACCES, KMS_RETRY_CREDENTIALS},
    {"InvalidSignatureVersion", 400, EIO, KMS_RETRY_NEVER},
    {"MissingSignatureNonce", 400, EIO, KMS_RETRY_NEVER},
    {"InvalidParameter", 400, EACCES, KMS_RETRY_CREDENTIALS, "The specified parameter \"AccessKeyId\" is not valid."},
    {"InvalidParameter", 400, EACCES, KMS_RETRY_CREDENTIALS, "The specified parameter AccessKeyId is not valid."},
    {"InvalidParameter", 400, EACCES, KMS_RETRY_CREDENTIALS, "the specified parameter 'accessKeyId' is not valid"},
    {"MissingParameter", 400, EACCES, KMS_RETRY_CREDENTIALS, "Parameter x-kms-acccesskeyid or x-acs-accesskey-id: parameter x-acs-accesskeyid is missing"},
    {"MissingParameter", 400, EACCES, KMS_RETRY_CREDENTIALS, "The parameter \"SecurityToken\" is needed but not provided."},
    {"InvalidParameter", 400, EACCES, KMS_RETRY_CREDENTIALS, "The specified parameter \xe2\x80\x9cSignature\xe2\x80\x9d is not valid."},
    {"InvalidParameter", 400, EACCES, KMS_RETRY_CREDENTIALS, "AccessKeyId is not valid."},
    {"InvalidParameter", 400, EACCES, KMS_RETRY_CREDENTIALS, "The specified AccessKeyId is not valid."},
    {"InvalidParameter", 400, EACCES, KMS_RETRY_CREDENTIALS, "The specified value of \"SecurityToken\" is not valid."},
    {"MissingParameter", 400, EACCES, KMS_RETRY_CREDENTIALS, "AccessKeyId is mandatory for this action."},
    {"MissingParameter", 400, EIO, KMS_RETRY_CLOCK, "Timestamp is mandatory for this action."},
    {"InvalidParameter", 400, EINVAL, KMS_RETRY_NEVER, "The specified AapName is not valid: AccessKeyId"},
    {"InvalidParameter", 400, EINVAL, KMS_RETRY_NEVER, "The specified parameter is not valid."},
    {"InvalidParameter", 400, EINVAL, KMS_RETRY_NEVER, "The specified parameter \"Password\" is not valid: AccessKeyId."},
    {"InvalidParameter", 400, EINVAL, KMS_RETRY_NEVER, "param"},
    {"InvalidParameter", 400, EIO, KMS_RETRY_NEVER, "The specified parameter \xe2\x80\x9c" "Action or Version\xe2\x80\x9d is not valid."},
    {"UnsupportedParameter", 400, EINVAL, KMS_RETRY_NEVER},
    {"NoPermission", 403, EACCES, KMS_RETRY_NEVER},
    {"NoPermission", 400, EACCES, KMS_RETRY_NEVER},
    {"AccessDenied", 400, EACCES, KMS_RETRY_NEVER},
    {"ActionUnauthorized", 403, EACCES, KMS_RETRY_NEVER},
    {"InvalidAction", 403, EIO, KMS_RETRY_NEVER},
    {"InvalidVersion", 400, EIO, KMS_RETRY_NEVER},
    /* of no page */
    {"Unheard.Of", 401, EACCES, KMS_RETRY_NEVER},
    {"Unheard.Of", 403, EACCES, KMS_RETRY_NEVER},
    {"InvalidWhatever", 403, EACCES, KMS_RETRY_NEVER},
    {"Unheard.Of", 404, EIO, KMS_RETRY_NEVER},
    {"ResourceNotFound", 404, ENOENT, KMS_RETRY_NEVER},
    {"InvalidResourceId.NotFound", 404, ENOENT, KMS_RETRY_NEVER},
    {"ApplicationAccessPointNotFound", 404, ENOENT, KMS_RETRY_NEVER},
    {"InvalidAapName.NotFound", 404, ENOENT, KMS_RETRY_NEVER},
    {"ClientKeyNotFound", 404, ENOENT, KMS_RETRY_NEVER},
    {"KeyNotExist", 404, ENOENT, KMS_RETRY_NEVER},
    {"EntityNotExist.ClientKey", 404, ENOENT, KMS_RETRY_NEVER},
    {"ResourceNotFound", 400, EIO, KMS_RETRY_NEVER},
    {"InvalidParameter", 500, EIO, KMS_RETRY_NOT_CREATIONS},
    {"Unheard.Of", 408, EAGAIN, KMS_RETRY_NOT_CREATIONS},
    {"Http.403", 403, EACCES, KMS_RETRY_NEVER},
    {"Http.404", 404, EIO, KMS_RETRY_NEVER},
};

static struct kms_error made(const char *code, long status, const char *message)
{
    struct kms_error error = {.http_status = status};
    kms_error_set_code(&error, code, NULL);
    kms_error_set_message(&error, message, strlen(message), NULL);
    error.number = kms_error_errno(&error);
    return error;
}

static void each_code_has_its_errno_and_retry(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kms_error error = made(cases[i].code, cases[i].status, cases[i].message ? cases[i].message : "No parameter.");
        enum kms_retry retry = kms_error_retry(&error);
        if (error.number != cases[i].number || retry != cases[i].retry)
            fail_msg("%s %ld: errno %d, retry %d", cases[i].code, cases[i].status, error.number, (int)retry);
    }
}

static void every_rule_is_reached_by_a_case(void **state)
{
    const struct kms_error_rule *rule;
    for (size_t i = 0; (rule = kms_error_rule(i)); i++) {
        bool found = false;
        for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++)
            found |= fnmatch(rule->pattern, cases[j].code, FNM_CASEFOLD) == 0 && cases[j].number == rule->number &&
                     cases[j].retry == rule->retry && (!rule->about || cases[j].message) &&
                     (!rule->status_most || (cases[j].status >= rule->status_least && cases[j].status <= rule->status_most));
        if (!found)
            fail_msg("%s %s %ld", rule->pattern, rule->about ? rule->about : "", rule->status_least);
    }
}

static bool is_ambiguous(const char *code, long status)
{
    struct kms_error error = made(code, status, "");
    return kms_error_is_ambiguous(&error);
}

static void what_may_have_been_done_is_told(void **state)
{
    assert_true(is_ambiguous("SignatureNonceUsed", 400));
    assert_true(is_ambiguous("InternalError", 500));
    assert_true(is_ambiguous("", 502));
    assert_true(is_ambiguous("InvalidParameter", 500)); /* KMS failed, whatever it calls it */
    assert_true(is_ambiguous("Forbidden.NoPermission", 503));
    assert_false(is_ambiguous("Throttling.User", 503));
    assert_false(is_ambiguous("Rejected.Throttling", 429));
    assert_true(is_ambiguous("ServiceUnavailable", 503)); /* a gateway may say so after KMS did it */
    assert_true(is_ambiguous("Http.503", 503));
    assert_true(is_ambiguous("Http.403", 403)); /* so may a proxy that will not let the answer pass */
    assert_true(is_ambiguous("Http.302", 302));
    assert_false(is_ambiguous("Http.429", 429));
    assert_false(is_ambiguous("InvalidTimeStamp.Expired", 400));
    assert_false(is_ambiguous("InvalidParameter", 400));
    assert_false(is_ambiguous("Unheard.Of", 403));
    assert_true(is_ambiguous("403", 403)); /* nor does a firewall that answers in JSON */
    assert_true(is_ambiguous("403 Forbidden", 403));
    struct kms_error error = made("400", 400, "");
    strcpy(error.request_id, "r");
    assert_false(kms_error_is_ambiguous(&error));
}

static bool is_about_credentials(const char *code, long status)
{
    struct kms_error error = made(code, status, "");
    return kms_error_is_about_credentials(&error);
}

static void refused_credentials_are_told_from_other_errors(void **state)
{
    assert_true(is_about_credentials("InvalidAccessKeyId.NotFound", 404));
    assert_true(is_about_credentials("InvalidAccessKeyId", 404));
    assert_true(is_about_credentials("InvalidSecurityToken.Expired", 400));
    assert_true(is_about_credentials("InvalidSecurityToken.MalFormed", 400));
    assert_true(is_about_credentials("MissingSecurityToken", 400));
    assert_true(is_about_credentials("SecurityTokenExpired", 403));
    assert_false(is_about_credentials("InvalidSecurityToken.Expired", 500)); /* who knows what it did */
    assert_true(is_about_credentials("SignatureDoesNotMatch", 400));
    assert_true(is_about_credentials("Forbidden.AccessKey", 403));
    assert_false(is_about_credentials("Forbidden.NoPermission", 403));
    assert_false(is_about_credentials("InvalidParameter", 400));
    struct kms_error error = made("InvalidParameter", 400, "The specified parameter \"AccessKeyId\" is not valid.");
    assert_true(kms_error_is_about_credentials(&error));
}

static void what_is_forbidden_is_told_from_what_is_not_there(void **state)
{
    assert_true(kms_error_is_forbidden("Forbidden.NoPermission", 403));
    assert_true(kms_error_is_forbidden("Forbidden.RAM", 403));
    assert_true(kms_error_is_forbidden("NoPermission", 403));
    assert_true(kms_error_is_forbidden("Forbidden", 403));
    assert_false(kms_error_is_forbidden("Forbidden.ResourceNotFound", 404));
    assert_false(kms_error_is_forbidden("Forbidden.InDebtOverdue", 403));
    assert_false(kms_error_is_forbidden("Forbidden.AccessKey", 403));
    assert_true(kms_error_is_about_the_instance("Forbidden.DKMSInstanceNotFound"));
    assert_false(kms_error_is_about_the_instance("Forbidden.ResourceNotFound"));
    assert_false(kms_error_is_forbidden("InvalidAccessKeyId.NotFound", 404));
    assert_false(kms_error_is_forbidden("Forbidden.NoPermission", 503));
    assert_false(kms_error_is_forbidden("Http.403", 403));
    assert_false(kms_error_is_forbidden("Unheard.Of", 403));
    assert_false(kms_error_is_forbidden("", 0));
}

static bool is_gone(const char *operation, const char *code, long status)
{
    struct kms_error error = made(code, status, "");
    snprintf(error.operation, sizeof(error.operation), "%s", operation);
    return kms_error_is_gone(&error);
}

static void only_what_is_sure_is_gone(void **state)
{
    assert_true(is_gone("GetClientKey", "Forbidden.ResourceNotFound", 404));
    assert_true(is_gone("DescribeApplicationAccessPoint", "Forbidden.ResourceNotFound", 404));
    assert_true(is_gone("DeleteClientKey", "Forbidden.KeyNotFound", 404));
    assert_true(is_gone("DeleteClientKey", "Forbidden.ClientKeyNotFound", 404));
    assert_false(is_gone("DescribeApplicationAccessPoint", "Forbidden.KeyNotFound", 404));
    assert_false(is_gone("DeleteClientKey", "Forbidden.AliasNotFound", 404));
    assert_false(is_gone("DeleteClientKey", "Forbidden.DKMSInstanceNotFound", 403));
    assert_false(is_gone("DeleteClientKey", "Forbidden.InstanceNotFound", 404));
    assert_false(is_gone("GetClientKey", "EntityNotExist.ClientKey", 404)); /* likely, and not sure */
    assert_false(is_gone("GetClientKey", "InvalidAccessKeyId.NotFound", 404));
    assert_false(is_gone("GetClientKey", "InvalidApi.NotFound", 404));
    assert_false(is_gone("GetClientKey", "Http.404", 404));
    assert_false(is_gone("GetClientKey", "Unheard.Of", 404));
    assert_false(is_gone("GetClientKey", "Forbidden.ResourceNotFound", 503));
}

static void the_endpoint_is_named_only_where_it_is_at_fault(void **state)
{
    static const struct {
        const char *code;
        long status;
        bool endpoint, of_kms;
    } asked[] = {
        {"Http.404", 404, true, false}, {"Http.403", 403, true, false}, {"InvalidApi.NotFound", 404, true, true},
        {"InvalidProduct.NotFound", 404, true, true}, {"Unheard.Of", 400, false, true}, {"Unheard.Of", 404, false, true},
        {"NoCode", 400, false, true}, {"Answer.Malformed", 200, true, false}, {"InternalError", 500, false, true},
        {"Network.Timeout", 0, false, false}, {"403", 403, true, false}, {"BLOCKED_BY_POLICY", 403, true, false},
    };
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct kms_error error = made(asked[i].code, asked[i].status, "");
        assert_true(kms_error_is_about_the_endpoint(&error) == asked[i].endpoint);
        assert_true(kms_error_is_of_kms(&error) == asked[i].of_kms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_has_its_errno_and_retry),
        cmocka_unit_test(every_rule_is_reached_by_a_case),
        cmocka_unit_test(what_may_have_been_done_is_told),
        cmocka_unit_test(refused_credentials_are_told_from_other_errors),
        cmocka_unit_test(what_is_forbidden_is_told_from_what_is_not_there),
        cmocka_unit_test(only_what_is_sure_is_gone),
        cmocka_unit_test(the_endpoint_is_named_only_where_it_is_at_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
