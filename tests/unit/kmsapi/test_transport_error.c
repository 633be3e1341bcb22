/* What is not a success, in every form in which KMS, its gateway and others say so. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kmsapi/transport_error.h"

#define REFUSAL "InvalidAccessKeyId.NotFound"
#define WORDS "Specified <access key> is not found & more"

static struct kms_error of(long status, const char *body, const char *password)
{
    struct kms_error error = {0};
    transport_error_of_answer(&error, status, body, strlen(body), password);
    return error;
}

static void every_form_of_kms_says_the_same(void **state)
{
    static const char *const bodies[] = {
        "{\"RequestId\":\"an-id\",\"HostId\":\"kms\",\"Code\":\"" REFUSAL "\",\"Message\":\"" WORDS "\"}",
        "{\"requestId\":\"an-id\",\"code\":\"" REFUSAL "\",\"message\":\"" WORDS "\"}",
        "{\"REQUESTID\":\"an-id\",\"CODE\":\"" REFUSAL "\",\"MESSAGE\":\"" WORDS "\",\"HttpStatus\":404,\"Recommend\":null}",
        "\xef\xbb\xbf {\"RequestId\":\"an-id\",\"Code\":\"" REFUSAL "\",\"Message\":\"" WORDS "\"}\n",
        "{\"Error\":{\"RequestId\":\"an-id\",\"Code\":\"" REFUSAL "\",\"Message\":\"" WORDS "\"}}",
        "{\"RequestId\":\"an-id\",\"error\":{\"code\":\"" REFUSAL "\",\"message\":\"" WORDS "\"}}",
        "{\"RequestId\":\"an-id\",\"Errors\":[{\"Code\":\"" REFUSAL "\",\"Message\":\"" WORDS "\"}]}",
        "{\"Response\":{\"Error\":{\"Code\":\"" REFUSAL "\",\"Message\":\"" WORDS "\"},\"RequestId\":\"no\"},\"RequestId\":\"an-id\"}",
        "{\"ErrorCode\":\"" REFUSAL "\",\"ErrorMessage\":\"" WORDS "\",\"RequestId\":\"an-id\"}",
        "{\"Code\":\"" REFUSAL "\",\"RequestId\":\"an-id\",\"Message\":\"" WORDS "\",\"Code\":\"" REFUSAL "\"}",
        "<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>an-id</RequestId><HostId>kms.cn-hangzhou.aliyuncs.com</HostId>"
        "<Code>" REFUSAL "</Code><Message>Specified &lt;access key&gt; is not found &amp; more</Message></Error>",
        "<KMS>\n  <HttpStatus>404</HttpStatus>\n  <Code>\n    " REFUSAL "\n  </Code>\n"
        "  <Message><![CDATA[" WORDS "]]></Message>\n  <RequestId>an-id</RequestId>\n</KMS>\n",
        "\xef\xbb\xbf<!-- <Code>no</Code> --><e:Error xmlns:e=\"a>b\" f='>'><e:Code g=\"</Code>\">" REFUSAL "</e:Code><Recommend/>"
        "<e:Message>Specified &#60;access&#x20;key&#X3E; is not found <![CDATA[&]]> more</e:Message><RequestID>an-id</RequestID></e:Error>",
        "<ErrorResponse><Error><code>" REFUSAL "</code><message>Specified &lt;access key> is not found & more</message></Error>"
        "<requestId>an-id</requestId></ErrorResponse>",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct kms_error error = of(404, bodies[i], NULL);
        if (error.number != EACCES || strcmp(error.code, REFUSAL) != 0 || strcmp(error.message, WORDS) != 0 ||
            strcmp(error.request_id, "an-id") != 0 || error.http_status != 404)
            fail_msg("%s: %d %s: %s (%s)", bodies[i], error.number, error.code, error.message, error.request_id);
    }
}

static void what_nobody_of_kms_said_is_told_as_such(void **state)
{
    static const char *const bodies[] = {
        "", " ", "Forbidden", "<html><head><title>403</title></head><body><code>Forbidden.NoPermission</code></body></html>",
        "<!DOCTYPE html><html><Code>NoPermission</Code></html>", "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\"><HTML><Code>x</Code></HTML>",
        "<?xml version=\"1.0\"?><!DOCTYPE html><html xmlns=\"http://www.w3.org/1999/xhtml\"><code>x</code></html>",
        "\n<!-- proxy --><HTML><Code>NoPermission</Code></HTML>", "{\"code\":403,\"message\":\"no\"}", "{}", "[]", "null", "\"Code\"",
        "{\"Code\":null}", "{\"Code\":\"\"}", "{\"Code\":{}}", "{\"Code\":\"NoPermission\"", "<Error></Error>", "<Error><Code></Code></Error>",
        "<", "<a", "</", "<!", "<![CDATA[", "<?", "<a b='", "&", "<a>&#", "<a>&#x", "\xff\xfe<\0a",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct kms_error error = of(403, bodies[i], NULL);
        if (error.number != EACCES || strcmp(error.code, "Http.403") != 0 || !strstr(error.message, "endpoint") ||
            kms_error_is_forbidden(error.code, 403) || kms_error_is_gone(&error))
            fail_msg("%s: %d %s: %s", bodies[i], error.number, error.code, error.message);
    }
    assert_int_equal(of(404, "<html></html>", NULL).number, EIO);
    assert_int_equal(of(429, "<html></html>", NULL).number, EAGAIN);
    assert_int_equal(of(503, "", NULL).number, EAGAIN);
    assert_int_equal(of(302, "", NULL).number, EIO);
}

static void kms_without_a_code_is_kms_all_the_same(void **state)
{
    struct kms_error error = of(400, "{\"RequestId\":\"an-id\",\"Message\":\"odd\",\"Code\":17}", NULL);
    assert_string_equal(error.code, "NoCode");
    assert_string_equal(error.message, "odd");
    assert_string_equal(error.request_id, "an-id");
    assert_true(kms_error_is_of_kms(&error));
    assert_int_equal(of(403, "<E><RequestId>r</RequestId></E>", NULL).number, EACCES);
}

static void every_type_of_every_member_is_survived(void **state)
{
    static const char *const names[] = {"Code", "code", "Message", "message", "RequestId", "Error"};
    static const char *const types[] = {"null", "7", "1.5", "true", "[]", "{}", "[{\"Code\":null}]", "\"a\\u0000b\"", "\"\xff\"",
                                        "{\"Code\":{\"Code\":{\"Code\":{\"Code\":{\"Code\":\"x\"}}}}}", "\"\\ud800\""};
    char body[512];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        for (size_t j = 0; j < sizeof(types) / sizeof(types[0]); j++) {
            snprintf(body, sizeof(body), "{\"%s\":%s,\"RequestId\":\"r\",\"Code\":\"NoPermission\",\"Message\":\"m\"}", names[i], types[j]);
            struct kms_error error = of(403, body, NULL);
            assert_int_equal(error.number, EACCES);
            assert_true(error.code[0] && error.http_status == 403);
            snprintf(body, sizeof(body), "{\"%s\":%s}", names[i], types[j]);
            error = of(500, body, NULL);
            assert_int_equal(error.number, EIO);
            assert_true(error.code[0] && error.message[0]);
        }
    char deep[4000];
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    assert_string_equal(of(400, deep, NULL).code, "Http.400");
    struct kms_error error = of(400, "{\"Code\":\"InvalidParameter\",\"Message\":\"a\\u0000b\"}", NULL);
    assert_string_equal(error.message, "a b");
}

static void no_form_tells_the_password(void **state)
{
    static const char password[] = "Co&rect-Horse1";
    static const char *const bodies[] = {
        "{\"Code\":\"c\",\"Message\":\"is Co&rect-Horse1.\"}",
        "{\"Code\":\"c\",\"Message\":\"is Co&amp;rect-Horse1.\"}",
        "{\"Code\":\"c\",\"Message\":\"is Co&#38;rect-Horse1.\"}",
        "{\"Code\":\"c\",\"Message\":\"is Co&#x26;rect&#45;Horse1.\"}",
        "<E><Code>c</Code><Message>is Co&amp;rect-Horse1.</Message></E>",
        "<E><Code>c</Code><Message>is Co&amp;amp;rect-Horse1.</Message></E>",
        "<E><Code>c</Code><Message><![CDATA[is Co&rect-Horse1.]]></Message></E>",
        "<E><Code>c</Code><Message>is Co%26rect-Horse1.</Message></E>",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct kms_error error = of(400, bodies[i], password);
        if (strcmp(error.message, "is [password].") != 0)
            fail_msg("%s: %s", bodies[i], error.message);
    }
}

static void a_refusal_that_came_as_a_success_is_one(void **state)
{
    static const char *const refusals[] = {
        "{\"RequestId\":\"r\",\"Code\":\"Forbidden.NoPermission\",\"Message\":\"no\"}",
        "{\"code\":\"Forbidden.NoPermission\",\"message\":\"no\",\"success\":false,\"data\":null}",
    };
    static const char *const successes[] = {
        "{\"RequestId\":\"r\"}", "{\"RequestId\":\"r\",\"Code\":\"Success\"}", "{\"Code\":\"OK\"}", "{\"Code\":200}", "{}", "",
        "{\"Code\":\"Odd\",\"ClientKeyId\":\"KAAP.1\"}", "{\"RequestId\":\"r\",\"Code\":\"200\"}", "[]", "{\"Code\":null}",
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct kms_error error = {0};
        assert_true(transport_error_of_success(&error, 200, refusals[i], strlen(refusals[i]), NULL));
        assert_int_equal(error.number, EACCES);
        assert_string_equal(error.message, "no");
    }
    for (size_t i = 0; i < sizeof(successes) / sizeof(successes[0]); i++) {
        struct kms_error error = {0};
        assert_false(transport_error_of_success(&error, 200, successes[i], strlen(successes[i]), NULL));
        assert_int_equal(error.number, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_kms_says_the_same),
        cmocka_unit_test(what_nobody_of_kms_said_is_told_as_such),
        cmocka_unit_test(kms_without_a_code_is_kms_all_the_same),
        cmocka_unit_test(every_type_of_every_member_is_survived),
        cmocka_unit_test(no_form_tells_the_password),
        cmocka_unit_test(a_refusal_that_came_as_a_success_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
