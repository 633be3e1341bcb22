/*
 * Whatever the type of a member is, an answer is understood or an error with a name: every operation, every member, every
 * type. And the answer that brings a key is understood wherever the key itself is good.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kmsapi/kms.h"
#include "kmsapi/kms_error.h"

/* -- a transport that answers what is ordered -------------------------------------------------- */

static struct {
    transport_done *done;
    void *user;
    char operation[48];
} asked;

int __wrap_transport_start(struct transport *transport, const struct transport_request *request, transport_done *done,
                           void *user)
{
    (void)transport;
    asked.done = done;
    asked.user = user;
    snprintf(asked.operation, sizeof(asked.operation), "%s", request->operation);
    return 0;
}

static void answer(const char *body, size_t size)
{
    struct transport_answer transport = {.body = body, .size = size, .attempts = 1};
    snprintf(transport.error.operation, sizeof(transport.error.operation), "%s", asked.operation);
    transport.error.http_status = 200;
    transport_done *done = asked.done;
    asked.done = NULL;
    done(asked.user, &transport);
}

/* -- what is told of it ------------------------------------------------------------------------ */

static struct {
    bool ended, good, uncounted;
    struct kms_error error;
    char id[200], algorithm[100], not_before[100], not_after[100], method[100];
    char *data;
    size_t count;
} told;

static void take(const struct kms_answer *got)
{
    assert_false(told.ended);
    told.ended = true;
    told.error = got->error;
    told.uncounted = got->uncounted;
    told.good = got->error.number == 0;
    assert_non_null(got->request_id);
    assert_true(strlen(got->request_id) < sizeof(told.error.request_id));
}

static void copy(char *to, size_t size, const char *from)
{
    assert_non_null(from); /* "" where KMS told nothing */
    snprintf(to, size, "%s", from);
}

static void take_key(void *user, const struct kms_answer *got, const struct kms_client_key *key)
{
    (void)user;
    take(got);
    assert_true(told.good == (key != NULL));
    if (!key)
        return;
    copy(told.id, sizeof(told.id), key->client_key_id);
    copy(told.algorithm, sizeof(told.algorithm), key->key_algorithm);
    copy(told.not_before, sizeof(told.not_before), key->not_before);
    copy(told.not_after, sizeof(told.not_after), key->not_after);
    if (strcmp(asked.operation, "CreateClientKey") == 0) {
        assert_non_null(told.data = strdup(key->private_key_data));
        return;
    }
    assert_non_null(key->create_time);
    assert_non_null(key->public_key_data);
    assert_non_null(key->aap_name);
}

static void take_keys(void *user, const struct kms_answer *got, const struct kms_client_key *keys, size_t count)
{
    (void)user;
    take(got);
    told.count = count;
    assert_true(told.good || count == 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(keys[i].client_key_id[0] != '\0');
        assert_non_null(keys[i].key_algorithm);
        assert_non_null(keys[i].not_before);
        assert_non_null(keys[i].not_after);
        assert_non_null(keys[i].create_time);
        assert_non_null(keys[i].public_key_data);
        assert_non_null(keys[i].aap_name);
    }
}

static void take_simple(void *user, const struct kms_answer *got)
{
    (void)user;
    take(got);
}

static void take_aap(void *user, const struct kms_answer *got, const struct kms_aap *aap)
{
    (void)user;
    take(got);
    assert_true(told.good == (aap != NULL));
    if (!aap)
        return;
    copy(told.id, sizeof(told.id), aap->name);
    assert_non_null(aap->arn);
    copy(told.method, sizeof(told.method), aap->authentication_method);
}

static void take_aaps(void *user, const struct kms_answer *got, const struct kms_aap *aaps, size_t count)
{
    (void)user;
    take(got);
    told.count = count;
    for (size_t i = 0; i < count; i++) {
        assert_true(aaps[i].name[0] != '\0');
        assert_non_null(aaps[i].authentication_method);
    }
}

/* -- the operations, and good answers, a member to a line ------------------------------------------ */

enum operation { CREATE, GET, LIST_KEYS, DELETE, DESCRIBE, LIST_AAPS, OPERATION_COUNT };

enum { MEMBERS_MOST = 12 };

static const struct {
    const char *before, *after; /* what stands around the members */
    struct {
        const char *name, *good;
    } members[MEMBERS_MOST];
} answers[OPERATION_COUNT] = {
    [CREATE] = {"{", "}", {
        {"RequestId", "\"r\""}, {"ClientKeyId", "\"KAAP.1\""}, {"KeyAlgorithm", "\"RSA_2048\""},
        {"PrivateKeyData", "\"MIIB\""}, {"NotBefore", "\"2026-01-01T00:00:00Z\""}, {"NotAfter", "\"2027-01-01T00:00:00Z\""},
        {"New", "1"}}},
    [GET] = {"{", "}", {
        {"RequestId", "\"r\""}, {"ClientKeyId", "\"KAAP.1\""}, {"KeyAlgorithm", "\"RSA_2048\""},
        {"NotBefore", "\"2026-01-01T00:00:00Z\""}, {"NotAfter", "\"2027-01-01T00:00:00Z\""},
        {"CreateTime", "\"2026-01-01T00:00:00Z\""}, {"PublicKeyData", "\"-----BEGIN\\\\nx\""}, {"AapName", "\"payments\""},
        {"KeyOrigin", "\"KMS_PROVIDED\""}}},
    [LIST_KEYS] = {"{\"RequestId\":\"r\",\"ClientKeys\":[{", "}]}", {
        {"ClientKeyId", "\"KAAP.1\""}, {"KeyAlgorithm", "\"RSA_2048\""},
        {"NotBefore", "\"2026-01-01T00:00:00Z\""}, {"NotAfter", "\"2027-01-01T00:00:00Z\""},
        {"CreateTime", "\"2026-01-01T00:00:00Z\""}, {"PublicKeyData", "\"-----BEGIN\\\\nx\""}, {"AapName", "\"payments\""},
        {"KeyOrigin", "\"KMS_PROVIDED\""}}},
    [DELETE] = {"{", "}", {{"RequestId", "\"r\""}}},
    [DESCRIBE] = {"{", "}", {
        {"RequestId", "\"r\""}, {"Name", "\"payments\""}, {"AuthenticationMethod", "\"ClientKey\""},
        {"Arn", "\"acs:kms:cn-hangzhou:1:applicationaccesspoint/payments\""}, {"Description", "\"d\""},
        {"Policies", "\"[\\\"a\\\"]\""}}},
    [LIST_AAPS] = {"{\"PageNumber\":1,\"PageSize\":100,\"TotalCount\":1,\"ApplicationAccessPoints\":{\"ApplicationAccessPoint\":[{",
                   "}]}}", {{"Name", "\"payments\""}, {"AuthenticationMethod", "\"ClientKey\""}}},
};

/* The members around those above. */
static const struct {
    enum operation operation;
    const char *name, *text; /* %s: what the member is */
} outer[] = {
    {LIST_KEYS, "RequestId", "{\"RequestId\":%s,\"ClientKeys\":[]}"},
    {LIST_KEYS, "ClientKeys", "{\"RequestId\":\"r\",\"ClientKeys\":%s}"},
    {LIST_KEYS, "an item", "{\"RequestId\":\"r\",\"ClientKeys\":[%s]}"},
    {LIST_KEYS, "ClientKey", "{\"RequestId\":\"r\",\"ClientKeys\":{\"ClientKey\":%s}}"},
    {LIST_AAPS, "RequestId", "{\"RequestId\":%s,\"TotalCount\":0,\"ApplicationAccessPoints\":{\"ApplicationAccessPoint\":[]}}"},
    {LIST_AAPS, "TotalCount", "{\"RequestId\":\"r\",\"TotalCount\":%s,\"ApplicationAccessPoints\":{\"ApplicationAccessPoint\":[]}}"},
    {LIST_AAPS, "ApplicationAccessPoints", "{\"RequestId\":\"r\",\"TotalCount\":0,\"ApplicationAccessPoints\":%s}"},
    {LIST_AAPS, "ApplicationAccessPoint", "{\"TotalCount\":0,\"ApplicationAccessPoints\":{\"ApplicationAccessPoint\":%s}}"},
    {LIST_AAPS, "an item", "{\"TotalCount\":1,\"ApplicationAccessPoints\":{\"ApplicationAccessPoint\":[%s]}}"},
    {CREATE, "the whole", "%s"}, {GET, "the whole", "%s"}, {LIST_KEYS, "the whole", "%s"},
    {DELETE, "the whole", "%s"}, {DESCRIBE, "the whole", "%s"}, {LIST_AAPS, "the whole", "%s"},
};

static void ask(enum operation operation)
{
    const struct kms_create_client_key creation = {.aap_name = "payments", .password = "Correct-Horse1"};
    free(told.data);
    memset(&told, 0, sizeof(told));
    switch (operation) {
    case CREATE:
        assert_int_equal(kms_create_client_key(NULL, &creation, 1, take_key, NULL), 0);
        break;
    case GET:
        assert_int_equal(kms_get_client_key(NULL, "KAAP.1", 1, take_key, NULL), 0);
        break;
    case LIST_KEYS:
        assert_int_equal(kms_list_client_keys(NULL, "payments", 1, take_keys, NULL), 0);
        break;
    case DELETE:
        assert_int_equal(kms_delete_client_key(NULL, "KAAP.1", 1, take_simple, NULL), 0);
        break;
    case DESCRIBE:
        assert_int_equal(kms_describe_application_access_point(NULL, "payments", 1, take_aap, NULL), 0);
        break;
    case LIST_AAPS:
        assert_int_equal(kms_list_application_access_points(NULL, 1, take_aaps, NULL), 0);
        break;
    case OPERATION_COUNT:
        break;
    }
}

/* -- the types ------------------------------------------------------------------------------------- */

static char deep[40001], very_long[200003];

/* NULL: the member is left out. "twice" is not of a type. */
static const char *const types[] = {
    NULL, "null", "true", "false", "0", "-1", "7", "1.5", "1e400", "99999999999999999999", "9223372036854775807", "\"\"",
    "\"x\"", "\"%s%n\"", "\"a\\u0000b\"", "\"\\u0000\"", "\"\xff\xfe\"", "\"\xed\xa0\x80\"", "\"\\ud800\"", "\"a\\nb\\u0007\"",
    "[]", "[null]", "[1,\"x\"]", "[[]]", "[\"x\"]", "{}", "{\"a\":null}", "{\"ClientKey\":[]}", "[{}]",
    "{\"ApplicationAccessPoint\":null}", "\"../../etc\"", deep, very_long,
};
enum { TYPE_COUNT = sizeof(types) / sizeof(types[0]) };

static void make_types(void)
{
    memset(deep, '[', sizeof(deep) / 2);
    memset(deep + sizeof(deep) / 2, ']', sizeof(deep) / 2);
    memset(very_long, 'a', sizeof(very_long) - 1);
    very_long[0] = very_long[sizeof(very_long) - 2] = '"';
}

/* The good answer of OPERATION, but for MEMBER, which is VALUE; TWICE: after the good one. */
static char *make_body(enum operation operation, size_t member, const char *value, bool twice, size_t *size)
{
    char *body = NULL;
    FILE *out = open_memstream(&body, size);
    const char *comma = "";
    fputs(answers[operation].before, out);
    for (size_t i = 0; i < MEMBERS_MOST && answers[operation].members[i].name; i++) {
        const char *name = answers[operation].members[i].name;
        if (i != member || twice)
            fprintf(out, "%s\"%s\":%s", comma, name, answers[operation].members[i].good);
        if (i != member || twice)
            comma = ",";
        if (i == member && value)
            fprintf(out, "%s\"%s\":%s", comma, name, value);
        if (i == member && value)
            comma = ",";
    }
    fputs(answers[operation].after, out);
    fclose(out);
    return body;
}

/* Either it is understood, or it has a name. */
static void check(const char *where, const char *name, const char *value)
{
    bool named = told.error.number > 0 && told.error.code[0] && told.error.message[0] && told.error.operation[0];
    if (!told.ended || told.good == (told.error.number != 0) || (!told.good && !named))
        fail_msg("%s, %s: %.60s: ended %d, errno %d, %s", where, name, value ? value : "left out", told.ended,
                 told.error.number, told.error.code);
}

static void each_member_of_each_type_is_understood_or_named(void **state)
{
    unsigned int understood = 0, named = 0;
    for (enum operation operation = 0; operation < OPERATION_COUNT; operation++)
        for (size_t i = 0; i < MEMBERS_MOST && answers[operation].members[i].name; i++)
            for (size_t j = 0; j < 2 * TYPE_COUNT; j++) {
                size_t size;
                char *body = make_body(operation, i, types[j / 2], j % 2, &size);
                ask(operation);
                answer(body, size);
                check(asked.operation, answers[operation].members[i].name, types[j / 2]);
                understood += told.good;
                named += !told.good;
                free(body);
            }
    assert_true(understood > 100);
    assert_true(named > 100);
}

static void each_list_and_whole_answer_too(void **state)
{
    for (size_t i = 0; i < sizeof(outer) / sizeof(outer[0]); i++)
        for (size_t j = 1; j < TYPE_COUNT; j++) {
            char *body = NULL;
            const char *text = outer[i].text, *hole = strstr(text, "%s");
            assert_true(asprintf(&body, "%.*s%s%s", (int)(hole - text), text, types[j], hole + 2) > 0);
            ask(outer[i].operation);
            answer(body, strlen(body));
            check(asked.operation, outer[i].name, types[j]);
            free(body);
        }
}

/* -- what is understood ---------------------------------------------------------------------------- */

static void ask_and_answer(enum operation operation, const char *body)
{
    ask(operation);
    answer(body, strlen(body));
}

static void a_key_that_came_is_taken_whatever_else_came_with_it(void **state)
{
    for (size_t i = 0; i < MEMBERS_MOST && answers[CREATE].members[i].name; i++) {
        const char *name = answers[CREATE].members[i].name;
        bool side = strcmp(name, "ClientKeyId") != 0 && strcmp(name, "PrivateKeyData") != 0;
        for (size_t j = 0; side && j < TYPE_COUNT; j++) {
            size_t size;
            char *body = make_body(CREATE, i, types[j], false, &size);
            ask(CREATE);
            answer(body, size);
            if (!told.good || strcmp(told.id, "KAAP.1") != 0 || strcmp(told.data, "MIIB") != 0)
                fail_msg("%s: %.60s: errno %d, %s: %s", name, types[j] ? types[j] : "left out", told.error.number,
                         told.error.code, told.error.message);
            assert_true(strcmp(told.algorithm, "RSA_2048") == 0 || strcmp(told.algorithm, "x") == 0);
            assert_true(told.not_before[0] == '\0' || strcmp(told.not_before, "2026-01-01T00:00:00Z") == 0);
            assert_true(told.not_after[0] == '\0' || strcmp(told.not_after, "2027-01-01T00:00:00Z") == 0);
            free(body);
        }
    }
}

static void a_key_in_a_body_that_is_no_json_is_found(void **state)
{
    static const char *const bodies[] = {
        "\xef\xbb\xbf{\"ClientKeyId\":\"KAAP.1\",\"PrivateKeyData\":\"MIIB\"}",
        "{\"ClientKeyId\":\"KAAP.1\",\"PrivateKeyData\":\"MIIB\"} and more",
        "{\"New\":'x', \"ClientKeyId\" : \"KAAP.1\",\n\"PrivateKeyData\"\t:\"M\\u0049IB\"",
        "{\"a\\u0000\":1,\"ClientKeyId\":\"KAAP.1\",\"PrivateKeyData\":\"MIIB\"}",
        "{\"ClientKeyId\":\"KAAP.1\",\"ClientKeyId\":\"KAAP.1\",\"PrivateKeyData\":\"MIIB\"}",
        "{\"Tip\":\"not \\\"ClientKeyId\\\":\\\"KAAP.2\\\"\",\"ClientKeyId\":\"KAAP.1\",\"PrivateKeyData\":\"MIIB\",}",
        ("<?xml version=\"1.0\"?><CreateClientKeyResponse><RequestId>r</RequestId><ClientKeyId>KAAP.1</ClientKeyId>"
         "<PrivateKeyData>MIIB</PrivateKeyData></CreateClientKeyResponse>"),
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        ask_and_answer(CREATE, bodies[i]);
        if (!told.good || strcmp(told.id, "KAAP.1") != 0 || strcmp(told.data, "MIIB") != 0)
            fail_msg("%s: %s: %s", bodies[i], told.error.code, told.error.message);
    }
}

/* As the SDKs for Go take them. */
static void members_are_read_in_letters_of_either_case(void **state)
{
    ask_and_answer(CREATE, "{\"requestId\":\"r\",\"clientKeyId\":\"KAAP.1\",\"privateKeyData\":\"MIIB\"}");
    assert_true(told.good);
    assert_string_equal(told.id, "KAAP.1");
    assert_string_equal(told.data, "MIIB");
    ask_and_answer(LIST_KEYS, "{\"requestId\":\"r\",\"clientKeys\":[{\"clientKeyId\":\"KAAP.1\",\"publicKeyData\":\"a\\\\nb\"}]}");
    assert_true(told.good);
    assert_int_equal(told.count, 1);
    ask_and_answer(LIST_AAPS, "{\"totalCount\":1,\"applicationAccessPoints\":{\"applicationAccessPoint\":[{\"name\":\"a\"}]}}");
    assert_true(told.good);
    assert_int_equal(told.count, 1);
}

static void a_creation_without_its_key_says_that_there_is_one(void **state)
{
    static const char *const ids[] = {"{\"PrivateKeyData\":\"MIIB\"}", "{\"ClientKeyId\":null,\"PrivateKeyData\":\"MIIB\"}",
                                      "{\"ClientKeyId\":[],\"PrivateKeyData\":\"MIIB\"}", "{\"ClientKeyId\":\"\"}", "{}"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        ask_and_answer(CREATE, ids[i]);
        assert_int_equal(told.error.number, EKEYREJECTED);
        assert_string_equal(told.error.code, "Answer.NoClientKeyId");
        assert_true(told.error.maybe_done);
    }
    static const char *const others[] = {"", "[]", "null", "<html><body>x</body></html>", "OK"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ask_and_answer(CREATE, others[i]);
        assert_true(told.error.number == EIO || told.error.number == EKEYREJECTED);
        assert_true(told.error.maybe_done);
    }
    /* it is judged, and kept as Rejected: its id is known */
    ask_and_answer(CREATE, "{\"ClientKeyId\":\"KAAP.1\",\"PrivateKeyData\":null}");
    assert_true(told.good);
    assert_string_equal(told.data, "");
}

static void what_kms_has_nothing_to_say_about_is_nothing(void **state)
{
    static const char *const no_keys[] = {
        "{\"RequestId\":null,\"ClientKeys\":null}", "{\"RequestId\":\"r\"}", "{\"ClientKeys\":[]}", "{}",
        "{\"RequestId\":\"r\",\"ClientKeys\":{}}", "{\"RequestId\":\"r\",\"ClientKeys\":{\"ClientKey\":null}}",
    };
    for (size_t i = 0; i < sizeof(no_keys) / sizeof(no_keys[0]); i++) {
        ask_and_answer(LIST_KEYS, no_keys[i]);
        if (!told.good || told.count)
            fail_msg("%s: %s", no_keys[i], told.error.message);
    }
    static const char *const no_aaps[] = {
        "{\"RequestId\":null,\"ApplicationAccessPoints\":null}", "{\"RequestId\":\"r\"}", "{}",
        "{\"TotalCount\":0}", "{\"TotalCount\":null,\"ApplicationAccessPoints\":{}}",
        "{\"TotalCount\":0,\"ApplicationAccessPoints\":{\"ApplicationAccessPoint\":null}}",
        "{\"TotalCount\":0,\"ApplicationAccessPoints\":[]}",
    };
    for (size_t i = 0; i < sizeof(no_aaps) / sizeof(no_aaps[0]); i++) {
        ask_and_answer(LIST_AAPS, no_aaps[i]);
        if (!told.good || told.count)
            fail_msg("%s: %s", no_aaps[i], told.error.message);
    }
    /* but a list that is no list is not an empty one, nor is somebody else's answer */
    static const char *const none[] = {"{\"ClientKeys\":7}", "{\"ClientKeys\":\"\"}", "{\"ClientKeys\":[null]}",
                                       "{\"ClientKeys\":{\"ClientKey\":7}}", "{\"status\":\"ok\"}", "[]"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        ask_and_answer(LIST_KEYS, none[i]);
        assert_int_equal(told.error.number, EIO);
        assert_string_equal(told.error.code, "Answer.Malformed");
    }
    ask_and_answer(LIST_AAPS, "{\"RequestId\":\"r\",\"TotalCount\":3}");
    assert_string_equal(told.error.code, "Answer.Incomplete");
    ask_and_answer(LIST_AAPS, "{\"login\":\"required\"}");
    assert_string_equal(told.error.code, "Answer.Malformed");
}

static void answer_text(const char *body)
{
    answer(body, strlen(body));
}

static void aaps_without_their_count_are_read_to_an_empty_page(void **state)
{
    static const char first[] = "{\"ApplicationAccessPoints\":{\"ApplicationAccessPoint\":[{\"Name\":\"a\"},{\"Name\":\"b\"}]}}";
    ask_and_answer(LIST_AAPS, first);
    assert_false(told.ended);
    answer_text("{\"TotalCount\":null,\"ApplicationAccessPoints\":{\"ApplicationAccessPoint\":[{\"Name\":\"c\"}]}}");
    assert_false(told.ended);
    answer_text("{\"RequestId\":\"r\"}");
    assert_true(told.good);
    assert_true(told.uncounted);
    assert_int_equal(told.count, 3);
    /* of a KMS that does not turn pages there is no end */
    ask_and_answer(LIST_AAPS, first);
    answer_text(first);
    assert_true(told.ended);
    assert_string_equal(told.error.code, "Answer.Incomplete");
    ask_and_answer(LIST_AAPS, "{\"TotalCount\":1,\"ApplicationAccessPoints\":[{\"Name\":\"a\"}]}");
    assert_true(told.good && !told.uncounted);
}

/* What no JSON parser takes fails the whole answer, with a name. */
static bool is_json(const char *value)
{
    static const char *const no_json[] = {"1e400", "99999999999999999999", "\"\\ud800\"", deep};
    for (size_t i = 0; value && i < sizeof(no_json) / sizeof(no_json[0]); i++)
        if (strcmp(value, no_json[i]) == 0)
            return false;
    return true;
}

static void what_is_not_needed_of_an_aap_fails_nothing(void **state)
{
    for (size_t i = 0; i < MEMBERS_MOST && answers[DESCRIBE].members[i].name; i++)
        for (size_t j = 0; j < TYPE_COUNT; j++) {
            size_t size;
            char *body = make_body(DESCRIBE, i, types[j], false, &size);
            ask(DESCRIBE);
            answer(body, size);
            if (told.good != is_json(types[j]))
                fail_msg("%s: %.60s: %s", answers[DESCRIBE].members[i].name, types[j], told.error.message);
            free(body);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_member_of_each_type_is_understood_or_named),
        cmocka_unit_test(each_list_and_whole_answer_too),
        cmocka_unit_test(a_key_that_came_is_taken_whatever_else_came_with_it),
        cmocka_unit_test(a_key_in_a_body_that_is_no_json_is_found),
        cmocka_unit_test(members_are_read_in_letters_of_either_case),
        cmocka_unit_test(a_creation_without_its_key_says_that_there_is_one),
        cmocka_unit_test(what_kms_has_nothing_to_say_about_is_nothing),
        cmocka_unit_test(aaps_without_their_count_are_read_to_an_empty_page),
        cmocka_unit_test(what_is_not_needed_of_an_aap_fails_nothing),
    };
    make_types();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(told.data);
    return failed;
}
