/* The V2 signature against requests captured from the vendor's own clients and its documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "kmsapi/rpc2.h"

enum { MOST_PAIRS = 32, VECTORS = 6 };

static void check(const char *method, const struct acs3_pair *parameters, size_t count, const char *secret,
                  const char *string_to_sign, const char *signature)
{
    struct rpc2_signature ours;
    assert_int_equal(rpc2_sign(method, parameters, count, secret, &ours), 0);
    if (string_to_sign)
        assert_string_equal(ours.string_to_sign, string_to_sign);
    assert_string_equal(ours.signature, signature);
    rpc2_signature_clear(&ours);
    assert_null(ours.string_to_sign);
}

static const char *text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void captured_requests_get_their_signature(void **state)
{
    json_error_t error;
    json_t *file = json_load_file(TEST_DATA "/signature-vectors.json", 0, &error);
    assert_non_null(file);
    size_t i, p, checked = 0;
    json_t *vector, *pair;
    json_array_foreach(json_object_get(file, "vectors"), i, vector) {
        if (strncmp(text(vector, "signature_version"), "V2", 2) != 0)
            continue;
        const json_t *parameters = json_object_get(vector, "decodedParams");
        const json_t *expected = json_object_get(vector, "expected");
        struct acs3_pair pairs[MOST_PAIRS];
        assert_true(json_array_size(parameters) <= MOST_PAIRS);
        json_array_foreach(parameters, p, pair)
            pairs[p] = (struct acs3_pair){json_string_value(json_array_get(pair, 0)),
                                          json_string_value(json_array_get(pair, 1))};
        check(text(json_object_get(vector, "request"), "method"), pairs, json_array_size(parameters),
              text(vector, "accessKeySecret"), text(expected, "stringToSign"), text(expected, "signature"));
        checked++;
    }
    assert_int_equal(checked, VECTORS);
    json_decref(file);
}

/* From "RPC mechanism" and the older page of ECS. */
static void documented_requests_get_their_signature(void **state)
{
    static const struct acs3_pair hosts[] = {
        {"AccessKeyId", "testid"},
        {"Action", "DescribeDedicatedHosts"},
        {"Format", "JSON"},
        {"RegionId", "cn-beijing"},
        {"SignatureMethod", "HMAC-SHA1"},
        {"SignatureNonce", "edb2b34af0af9a6d14deaf7c1a5315eb"},
        {"SignatureVersion", "1.0"},
        {"Timestamp", "2023-03-13T08:34:30Z"},
        {"Version", "2014-05-26"},
    };
    static const struct acs3_pair regions[] = {
        {"Timestamp", "2016-02-23T12:46:24Z"},
        {"AccessKeyId", "testid"},
        {"Action", "DescribeRegions"},
        {"Format", "XML"},
        {"SignatureMethod", "HMAC-SHA1"},
        {"SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"},
        {"SignatureVersion", "1.0"},
        {"Version", "2014-05-26"},
        {"Signature", "is not signed"},
    };
    check("GET", hosts, 9, "testsecret", NULL, "9NaGiOspFP5UPcwX8Iwt2YJXXuk=");
    check("GET", regions, 9, "testsecret", NULL, "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
    check("POST", regions, 9, "testsecret", NULL, "MxbnVAM4w6sft9xjVpe/GCKueuk=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_requests_get_their_signature),
        cmocka_unit_test(documented_requests_get_their_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
