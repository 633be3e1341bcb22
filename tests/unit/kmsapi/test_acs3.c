/* The V3 signature against requests captured from the vendor's own clients and its documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>
#include <jansson.h>

#include "kmsapi/acs3.h"
#include "kmsapi/openssl_cleanup.h"

enum { MOST_PAIRS = 32 };

static size_t read_pairs(json_t *array, bool nested, struct acs3_pair *pairs)
{
    size_t count = 0;
    if (nested) {
        size_t i;
        json_t *pair;
        json_array_foreach(array, i, pair) {
            assert_true(count < MOST_PAIRS);
            pairs[count++] = (struct acs3_pair){json_string_value(json_array_get(pair, 0)),
                                                json_string_value(json_array_get(pair, 1))};
        }
    } else {
        for (size_t i = 0; i + 1 < json_array_size(array); i += 2) {
            assert_true(count < MOST_PAIRS);
            pairs[count++] = (struct acs3_pair){json_string_value(json_array_get(array, i)),
                                                json_string_value(json_array_get(array, i + 1))};
        }
    }
    return count;
}

static void check_vector(json_t *vector)
{
    json_t *request = json_object_get(vector, "request");
    json_t *expected = json_object_get(vector, "expected");
    struct acs3_pair query[MOST_PAIRS], headers[MOST_PAIRS];
    struct acs3_request to_sign = {
        .method = json_string_value(json_object_get(request, "method")),
        .path = "/",
        .query = query,
        .query_count = read_pairs(json_object_get(vector, "decodedParams"), true, query),
        .headers = headers,
        .header_count = read_pairs(json_object_get(request, "headers"), false, headers),
    };

    struct acs3_signature signature;
    const char *secret = json_string_value(json_object_get(vector, "accessKeySecret"));
    assert_int_equal(acs3_sign(&to_sign, secret, &signature), 0);
    assert_string_equal(signature.canonical_request,
                        json_string_value(json_object_get(expected, "canonicalRequest")));
    assert_string_equal(signature.string_to_sign,
                        json_string_value(json_object_get(expected, "stringToSign")));
    assert_string_equal(signature.signed_headers,
                        json_string_value(json_object_get(expected, "signedHeaders")));
    assert_string_equal(signature.signature,
                        json_string_value(json_object_get(expected, "signature")));

    char *authorization = acs3_authorization(
        &signature, json_string_value(json_object_get(vector, "accessKeyId")));
    for (size_t i = 0; i < to_sign.header_count; i++)
        if (strcasecmp(headers[i].name, "authorization") == 0)
            assert_string_equal(authorization, headers[i].value);
    free(authorization);
    acs3_signature_clear(&signature);
}

static void test_captured_vectors(void **state)
{
    json_error_t error;
    json_t *file = json_load_file(TEST_DATA "/signature-vectors.json", 0, &error);
    assert_non_null(file);

    size_t i, checked = 0;
    json_t *vector;
    json_array_foreach(json_object_get(file, "vectors"), i, vector) {
        const char *version = json_string_value(json_object_get(vector, "signature_version"));
        if (strncmp(version, "V3", 2) == 0) {
            check_vector(vector);
            checked++;
        }
    }
    assert_int_equal(checked, V3_VECTORS);
    json_decref(file);
}

/* kms.cn-hangzhou.aliyuncs.com and the parameters that the two derived vectors share. */
static const struct acs3_pair create_client_key[] = {
    {"AapName", "aap_test"},
    {"Password", "A~!@#$%^&*?_-9z"},
    {"NotBefore", "2026-01-02T03:04:05Z"},
    {"NotAfter", "2027-01-02T03:04:05Z"},
};

static void check_signature(const struct acs3_request *request, const char *secret,
                            const char *canonical_hash, const char *expected)
{
    struct acs3_signature signature;
    assert_int_equal(acs3_sign(request, secret, &signature), 0);
    assert_string_equal(signature.string_to_sign + strlen("ACS3-HMAC-SHA256\n"), canonical_hash);
    assert_string_equal(signature.signature, expected);
    acs3_signature_clear(&signature);
}

static void test_documented_vector(void **state)
{
    static const struct acs3_pair query[] = {
        {"ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"},
        {"RegionId", "cn-shanghai"},
    };
    static const struct acs3_pair headers[] = {
        {"Host", "ecs.cn-shanghai.aliyuncs.com"},
        {"x-acs-action", "RunInstances"},
        {"x-acs-version", "2014-05-26"},
        {"X-Acs-Date", " 2023-10-26T10:22:32Z "},
        {"x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"},
        {"user-agent", "not signed"},
        {"x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    };
    struct acs3_request request = {"POST", "/", query, 2, headers, 7};
    check_signature(&request, "YourAccessKeySecret",
                    "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259",
                    "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0");
}

static void test_every_special_character_in_the_query(void **state)
{
    static const struct acs3_pair headers[] = {
        {"host", "kms.cn-hangzhou.aliyuncs.com"},
        {"x-acs-action", "CreateClientKey"},
        {"x-acs-version", "2016-01-20"},
        {"x-acs-date", "2026-01-02T03:04:05Z"},
        {"x-acs-signature-nonce", "0123456789abcdef0123456789abcdef"},
        {"x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    };
    struct acs3_request request = {"POST", "/", create_client_key, 4, headers, 6};
    check_signature(&request, "testsecret",
                    "0f91bc0a7df28cb8cb468cb7c8853fe8d88ecc8888a269ebd31dadc79eb6cf78",
                    "2ab1098831651d587dbfdd7715678145c9ea926c92505176c3a5c58c43deb108");
}

static void test_form_body_with_security_token(void **state)
{
    char *body = acs3_canonical_query(create_client_key, 4);
    char hash[65];
    assert_non_null(body);
    assert_int_equal(acs3_sha256_hex(body, strlen(body), hash), 0);
    assert_string_equal(hash, "94bc7b90d2e4b177334efe226a13d0dee765394d312f63972dc171f963dad996");
    cleanup_secret_string(&body);

    const struct acs3_pair headers[] = {
        {"host", "kms.cn-hangzhou.aliyuncs.com"},
        {"content-type", "application/x-www-form-urlencoded"},
        {"x-acs-action", "CreateClientKey"},
        {"x-acs-version", "2016-01-20"},
        {"x-acs-date", "2026-01-02T03:04:05Z"},
        {"x-acs-signature-nonce", "0123456789abcdef0123456789abcdef"},
        {"x-acs-content-sha256", hash},
        {"x-acs-accesskey-id", "STS.testid"},
        {"x-acs-security-token", "STS.token+/=="},
    };
    struct acs3_request request = {"POST", "/", NULL, 0, headers, 9};
    check_signature(&request, "testsecret",
                    "ff7481bd44a6ccbeeb00adf4e61242d960ff222e3d6c0366f5553f6f50ec7161",
                    "0b6fcae64c30e2b8257e1acc4bcba0093f7478a533108366d27132c0cc79b6fd");
}

static void test_several_values_of_one_header_are_sorted_and_joined(void **state)
{
    static const struct acs3_pair headers[] = {
        {"x-acs-b", "2"}, {"X-ACS-B", "1"}, {"x-acs-content-sha256", "00"}, {"x-acs-a", ""},
    };
    struct acs3_request request = {"GET", "/", NULL, 0, headers, 4};
    struct acs3_signature signature;
    assert_int_equal(acs3_sign(&request, "s", &signature), 0);
    assert_string_equal(signature.canonical_request,
                        "GET\n/\n\nx-acs-a:\nx-acs-b:1,2\nx-acs-content-sha256:00\n\n"
                        "x-acs-a;x-acs-b;x-acs-content-sha256\n00");
    acs3_signature_clear(&signature);
}

static void test_a_request_without_content_hash_is_refused(void **state)
{
    struct acs3_request request = {"GET", "/", NULL, 0, NULL, 0};
    struct acs3_signature signature;
    assert_int_equal(acs3_sign(&request, "s", &signature), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_vectors),
        cmocka_unit_test(test_documented_vector),
        cmocka_unit_test(test_every_special_character_in_the_query),
        cmocka_unit_test(test_form_body_with_security_token),
        cmocka_unit_test(test_several_values_of_one_header_are_sorted_and_joined),
        cmocka_unit_test(test_a_request_without_content_hash_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
