/* KMS's answers: strict about types, indifferent to what is unknown. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "kmsapi/kms_answer.h"

static void parses_one_object_only(void **state)
{
    static const struct {
        const char *body, *request_id; /* NULL: malformed */
    } cases[] = {
        {"{\"RequestId\":\"r\",\"New\":[{}]}", "r"},
        {"{}", ""},
        {"{\"RequestId\":null}", ""},
        {"{\"RequestId\":7}", ""},
        {"{\"RequestId\":\"a\\u0000b\"}", ""},
        {"{\"Names\":null}", ""},
        {"\xef\xbb\xbf{\"RequestId\":\"r\"}", "r"},
        {"{\"RequestId\":\"r\xff\"}", "r?"},
        {" {\"RequestId\":\"r\"}\n", "r"},
        {"", NULL},
        {"[]", NULL},
        {"7", NULL},
        {"{\"RequestId\":\"r\"", NULL},
        {"{\"RequestId\":\"r\"}x", NULL},
        {"{\"RequestId\":\"a\",\"RequestId\":\"b\"}", NULL},
        {"\xff{}", NULL},
        {"{\"Somebody\":\"else\"}", NULL},
    };
    static const char *const known[] = {"Names", NULL};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct transport_answer answer = {.body = cases[i].body,
                                                .size = strlen(cases[i].body)};
        struct kms_error error = {0};
        json_t *object = NULL;
        int r = kms_answer_parse(&answer, known, &object, &error);
        if (r != (cases[i].request_id ? 0 : -EIO))
            fail_msg("%s: %d", cases[i].body, r);
        if (r == 0)
            assert_string_equal(kms_answer_text(object, "RequestId"), cases[i].request_id);
        else
            assert_string_equal(error.code, "Answer.Malformed");
        json_decref(object);
    }
    const struct transport_answer none = {0};
    struct kms_error error = {0};
    json_t *object = NULL;
    assert_int_equal(kms_answer_parse(&none, known, &object, &error), -EIO);
}

static int list_size(const char *text)
{
    struct kms_error error = {0};
    const json_t *list = NULL;
    json_t *object = json_loads(text, 0, NULL);
    assert_non_null(object);
    int r = kms_answer_list(object, "ClientKeys", "ClientKey", &list, &error);
    int size = r < 0 ? r : (int)json_array_size(list);
    json_decref(object);
    return size;
}

static void accepts_both_shapes_of_a_list_and_none(void **state)
{
    assert_int_equal(list_size("{\"ClientKeys\":[1,2]}"), 2);
    assert_int_equal(list_size("{\"ClientKeys\":{\"ClientKey\":[1,2,3]}}"), 3);
    assert_int_equal(list_size("{\"ClientKeys\":[]}"), 0);
    assert_int_equal(list_size("{\"ClientKeys\":{}}"), 0);
    assert_int_equal(list_size("{\"ClientKeys\":{\"ClientKey\":null}}"), 0);
    assert_int_equal(list_size("{\"ClientKeys\":null}"), 0);
    assert_int_equal(list_size("{}"), 0);
    assert_int_equal(list_size("{\"ClientKeys\":{\"ClientKey\":{}}}"), -EIO);
    assert_int_equal(list_size("{\"ClientKeys\":{\"Other\":[]}}"), -EIO);
    assert_int_equal(list_size("{\"ClientKeys\":\"\"}"), -EIO);
    assert_int_equal(list_size("{\"ClientKeys\":0}"), -EIO);
}

static bool read_count(const char *text, size_t *count)
{
    json_t *object = json_loads(text, 0, NULL);
    bool is_count = kms_answer_number(object, "N", count);
    json_decref(object);
    return is_count;
}

static void counts_are_integers_from_zero(void **state)
{
    size_t count = 9;
    assert_true(read_count("{\"N\":0}", &count));
    assert_int_equal(count, 0);
    assert_true(read_count("{\"N\":250}", &count));
    assert_int_equal(count, 250);
    assert_false(read_count("{\"N\":-1}", &count));
    assert_false(read_count("{\"N\":1.5}", &count));
    assert_false(read_count("{\"N\":\"1\"}", &count));
    assert_false(read_count("{\"N\":null}", &count));
    assert_false(read_count("{}", &count));
}

static json_t *good_key(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ClientKeyId", "KAAP.1", "KeyAlgorithm",
                     "RSA_2048", "NotBefore", "b", "NotAfter", "a", "CreateTime", "c", "PublicKeyData",
                     "-----BEGIN\\nx\n", "AapName", "payments", "KeyOrigin", "KMS_PROVIDED");
}

static void a_client_key_needs_its_id(void **state)
{
    static const char *const members[] = {"KeyAlgorithm", "NotBefore", "NotAfter", "CreateTime", "PublicKeyData", "AapName"};
    struct kms_client_key key;
    struct kms_error error = {0};
    json_t *object = good_key();
    assert_int_equal(kms_answer_client_key(object, &key, &error), 0);
    assert_string_equal(key.client_key_id, "KAAP.1");
    assert_string_equal(key.aap_name, "payments");
    /* KMS's own example has a backslash and an n in it */
    assert_string_equal(key.public_key_data, "-----BEGIN\nx\n");
    assert_null(key.private_key_data);
    json_decref(object);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        object = good_key();
        json_object_set_new(object, members[i], json_integer(1));
        assert_int_equal(kms_answer_client_key(object, &key, &error), 0);
        json_object_del(object, members[i]);
        assert_int_equal(kms_answer_client_key(object, &key, &error), 0);
        assert_string_equal(key.client_key_id, "KAAP.1");
        json_decref(object);
    }
    object = good_key();
    json_object_set_new(object, "ClientKeyId", json_null());
    assert_int_equal(kms_answer_client_key(object, &key, &error), -EIO);
    assert_non_null(strstr(error.message, "ClientKeyId"));
    json_object_del(object, "ClientKeyId");
    assert_int_equal(kms_answer_client_key(object, &key, &error), -EIO);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_one_object_only),
        cmocka_unit_test(accepts_both_shapes_of_a_list_and_none),
        cmocka_unit_test(counts_are_integers_from_zero),
        cmocka_unit_test(a_client_key_needs_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
