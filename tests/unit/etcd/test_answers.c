/* What etcd's JSON gateway answers: taken where it is right to the letter, and else refused as a whole. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/crypto.h>

#include "fs/etcd/answers.h"

#define HEADER "\"header\":{\"cluster_id\":\"13805680747766176984\",\"member_id\":\"9829954754940738069\",\"revision\":\"7\",\"raft_term\":\"2\"}"
#define KEY_A "\"key\":\"YS9h\"" /* a/a */
#define NUMBERS "\"create_revision\":\"2\",\"mod_revision\":\"5\",\"version\":\"3\""

static json_t *parse(const char *text)
{
    return answer_parse(text, strlen(text));
}

static void a_range_is_read(void **state)
{
    static const char text[] = "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"value\":\"dg==\",\"lease\":\"9223372036854775807\"},"
                               "{\"key\":\"YS9i\"," NUMBERS "}],\"more\":true,\"count\":\"9\"}";
    json_t *answer = parse(text);
    struct answer_entries entries;
    struct answer_last last;
    int64_t revision;
    assert_int_equal(answer_revision(answer, &revision), 0);
    assert_int_equal(revision, 7);
    assert_int_equal(answer_range(answer, &(struct answer_asked){"a/", true, false}, &entries, &last), 0);
    assert_int_equal(entries.count, 2);
    assert_string_equal(entries.list[0].key, "a/a");
    assert_int_equal(entries.list[0].size, 1);
    assert_memory_equal(entries.list[0].value, "v", 2);
    assert_int_equal(entries.list[0].create_revision, 2);
    assert_int_equal(entries.list[0].mod_revision, 5);
    assert_int_equal(entries.list[0].version, 3);
    assert_true(entries.list[0].lease == INT64_MAX);
    assert_string_equal(entries.list[1].key, "a/b");
    assert_non_null(entries.list[1].value); /* it is empty, not absent */
    assert_int_equal(entries.list[1].size, 0);
    assert_int_equal(last.size, 3);
    assert_string_equal((char *)last.key, "a/b");
    OPENSSL_free(last.key);
    answer_entries_free(&entries);
    assert_int_equal(answer_range(answer, &(struct answer_asked){"a/", true, true}, &entries, &last), 0);
    assert_null(entries.list[0].value);
    OPENSSL_free(last.key);
    answer_entries_free(&entries);
    json_decref(answer);
}

static void keys_of_others_are_left_out(void **state)
{
    /* a/ and: a NUL, a newline, a byte above 0x7e, a blank; and one of ours */
    static const char text[] = "{" HEADER ",\"kvs\":[{\"key\":\"YS8AYg==\"," NUMBERS "},{\"key\":\"YS8K\"," NUMBERS "},"
                               "{\"key\":\"YS//\"," NUMBERS "},{\"key\":\"YS8g\"," NUMBERS ",\"value\":\"dg==\"},{" KEY_A "," NUMBERS "},"
                               "{\"key\":\"YS96AA==\"," NUMBERS "}],\"more\":true}";
    json_t *answer = parse(text);
    struct answer_entries entries;
    struct answer_last last;
    assert_int_equal(answer_range(answer, &(struct answer_asked){"a/", true, false}, &entries, &last), 0);
    assert_int_equal(entries.count, 1);
    assert_string_equal(entries.list[0].key, "a/a");
    assert_int_equal(last.size, 4); /* what follows is asked for from there, whosoever it is */
    assert_memory_equal(last.key, "a/z\0", 5);
    OPENSSL_free(last.key);
    answer_entries_free(&entries);
    json_decref(answer);
}

static void a_range_that_is_not_right_is_refused(void **state)
{
    static const char *const bad[] = {
        "{" HEADER ",\"kvs\":{}}",
        "{" HEADER ",\"kvs\":[1]}",
        "{" HEADER ",\"kvs\":[{}]}",
        "{" HEADER ",\"kvs\":[{" NUMBERS "}]}",
        "{" HEADER ",\"kvs\":[{\"key\":\"\"," NUMBERS "}]}",
        "{" HEADER ",\"kvs\":[{\"key\":\"YS9h=\"," NUMBERS "}]}",
        "{" HEADER ",\"kvs\":[{\"key\":\"Yi9h\"," NUMBERS "}]}", /* b/a was not asked for */
        "{" HEADER ",\"kvs\":[{\"key\":7," NUMBERS "}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"value\":\"!\"}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"value\":1}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A ",\"mod_revision\":\"5\"}]}", /* no version: it is not there */
        "{" HEADER ",\"kvs\":[{" KEY_A ",\"version\":\"5\"}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":\"9223372036854775808\"}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":\"-1\"}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":\"+1\"}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":\"01\"}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":\" 1\"}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":\"0x1\"}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":\"1e3\"}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":\"\"}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":1}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":null}]}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS ",\"lease\":\"99999999999999999999999999999999999999\"}]}",
        "{" HEADER ",\"more\":true}", /* behind what? */
        "{" HEADER ",\"more\":1}",
        "{" HEADER ",\"kvs\":[{" KEY_A "," NUMBERS "},{\"key\":\"YS9i\"}]}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *answer = parse(bad[i]);
        struct answer_entries entries;
        struct answer_last last;
        if (!answer || answer_range(answer, &(struct answer_asked){"a/", true, false}, &entries, &last) != -EBADMSG)
            fail_msg("%s", bad[i]);
        assert_null(entries.list);
        assert_null(last.key);
        json_decref(answer);
    }
}

static void what_is_no_object_is_no_answer(void **state)
{
    static const char *const bad[] = {"", "null", "[]", "\"\"", "{", "{}{}", "{\"a\":1,\"a\":2}", "Not Found", "{\"a\":\"\xff\"}", "{\"a\":nan}",
                                      "{\"a\":\"b\\u0000\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_null(parse(bad[i]));
    assert_null(answer_parse("{}\0", 3));
    size_t deep = 100000;
    char *text = malloc(deep);
    memset(text, '[', deep);
    memcpy(text, "{\"a\":", 5);
    assert_null(answer_parse(text, deep));
    free(text);
    int64_t revision;
    static const char *const headers[] = {"{}", "{\"header\":1}", "{\"header\":{\"revision\":7}}", "{\"header\":{\"revision\":\"x\"}}"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        json_t *answer = parse(headers[i]);
        assert_int_equal(answer_revision(answer, &revision), -EBADMSG);
        json_decref(answer);
    }
}

static const struct fleet_compare compares[] = {{"a/a", FLEET_VERSION, 0}, {"a/c", FLEET_MOD_REVISION, 4}};

static int commit_of(const char *text, bool *done, struct answer_entries *entries)
{
    json_t *answer = parse(text);
    int r = answer_commit(answer, compares, 2, done, entries);
    json_decref(answer);
    return r;
}

static void a_commit_is_read(void **state)
{
    struct answer_entries entries;
    bool done;
    assert_int_equal(commit_of("{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{}}]}", &done, &entries), 0);
    assert_true(done);
    assert_null(entries.list);
    assert_int_equal(commit_of("{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[{" KEY_A "," NUMBERS "}],\"count\":\"1\"}},"
                               "{\"response_range\":{}}]}", &done, &entries), 0);
    assert_false(done);
    assert_int_equal(entries.count, 2);
    assert_int_equal(entries.list[0].version, 3);
    assert_string_equal(entries.list[1].key, "a/c");
    assert_int_equal(entries.list[1].version, 0);
    assert_null(entries.list[1].value);
    answer_entries_free(&entries);
    static const char *const bad[] = {
        "{" HEADER ",\"succeeded\":\"true\"}",
        "{" HEADER "}",
        "{" HEADER ",\"responses\":[{\"response_range\":{}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{}},{\"response_put\":{}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[{" KEY_A "," NUMBERS "},{" KEY_A "," NUMBERS "}]}},{\"response_range\":{}}]}",
        /* another key than was asked for, and one that only begins so */
        "{" HEADER ",\"responses\":[{\"response_range\":{}},{\"response_range\":{\"kvs\":[{" KEY_A "," NUMBERS "}]}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":\"YS9hYQ==\"," NUMBERS "}]}},{\"response_range\":{}}]}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (commit_of(bad[i], &done, &entries) != -EBADMSG)
            fail_msg("%s", bad[i]);
        assert_null(entries.list);
    }
}

static int watch_of(const char *text, struct answer_watch *watch)
{
    json_t *answer = parse(text);
    int r = answer_watch(answer, "a/", watch);
    answer_entries_free(&watch->entries);
    json_decref(answer);
    return r;
}

static void a_watch_is_read(void **state)
{
    struct answer_watch watch;
    assert_int_equal(watch_of("{" HEADER ",\"created\":true}", &watch), 0);
    assert_true(watch.created);
    assert_string_equal(watch.cluster, "13805680747766176984");
    assert_int_equal(watch_of("{" HEADER ",\"canceled\":true,\"compact_revision\":\"44\"}", &watch), 0);
    assert_true(watch.canceled);
    assert_int_equal(watch.compact_revision, 44);
    assert_int_equal(watch_of("{" HEADER ",\"watch_id\":\"-1\",\"created\":true,\"canceled\":true,\"cancel_reason\":"
                              "\"rpc error: code = PermissionDenied desc = etcdserver: permission denied\"}", &watch), 0);
    assert_string_equal(watch.reason, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    /* progress: of this watch, and of the connection, where it may come before what happened */
    assert_int_equal(watch_of("{" HEADER ",\"watch_id\":\"3\"}", &watch), 0);
    assert_int_equal(watch.reached, 7);
    assert_int_equal(watch_of("{" HEADER ",\"watch_id\":\"-1\"}", &watch), 0);
    assert_int_equal(watch.reached, 0);

    json_t *answer = parse("{" HEADER ",\"fragment\":true,\"events\":[{\"kv\":{" KEY_A "," NUMBERS ",\"value\":\"dg==\"}},"
                           "{\"type\":\"DELETE\",\"kv\":{\"key\":\"YS9i\",\"mod_revision\":\"6\"}},"
                           "{\"type\":\"PUT\",\"kv\":{\"key\":\"YS8K\",\"mod_revision\":\"8\",\"version\":\"1\"}}]}");
    assert_int_equal(answer_watch(answer, "a/", &watch), 0);
    assert_true(watch.fragment);
    assert_int_equal(watch.entries.count, 2);
    assert_int_equal(watch.entries.list[0].version, 3);
    assert_int_equal(watch.entries.list[1].version, 0);
    assert_null(watch.entries.list[1].value);
    assert_int_equal(watch.reached, 8); /* somebody else's change counts too */
    answer_entries_free(&watch.entries);
    json_decref(answer);
}

static void a_watch_that_is_not_right_is_refused(void **state)
{
    static const char *const bad[] = {
        "{\"created\":true}",
        "{\"header\":{\"cluster_id\":1,\"revision\":\"7\"}}",
        "{" HEADER ",\"created\":1}",
        "{" HEADER ",\"fragment\":null}",
        "{" HEADER ",\"watch_id\":\"-2\"}",
        "{" HEADER ",\"watch_id\":1}",
        "{" HEADER ",\"compact_revision\":\"-4\"}",
        "{" HEADER ",\"cancel_reason\":{}}",
        "{" HEADER ",\"events\":{}}",
        "{" HEADER ",\"events\":[{}]}",
        "{" HEADER ",\"events\":[{\"type\":\"MOVE\",\"kv\":{" KEY_A "," NUMBERS "}}]}",
        "{" HEADER ",\"events\":[{\"type\":1,\"kv\":{" KEY_A "," NUMBERS "}}]}",
        "{" HEADER ",\"events\":[{\"type\":\"DELETE\",\"kv\":{" KEY_A "," NUMBERS "}}]}", /* removed, with a version */
        "{" HEADER ",\"events\":[{\"kv\":{" KEY_A ",\"mod_revision\":\"6\"}}]}",           /* written, without one */
        "{" HEADER ",\"events\":[{\"kv\":{\"key\":\"Yi9h\"," NUMBERS "}}]}",
        /* backwards */
        "{" HEADER ",\"events\":[{\"kv\":{" KEY_A "," NUMBERS "}},{\"kv\":{" KEY_A ",\"mod_revision\":\"4\",\"version\":\"1\"}}]}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct answer_watch watch;
        if (watch_of(bad[i], &watch) != -EBADMSG)
            fail_msg("%s", bad[i]);
    }
    struct answer_watch watch;
    assert_int_equal(answer_watch(NULL, "a/", &watch), -EBADMSG);
}

static int lease_of(const char *text, int64_t *id, int64_t *ttl_s)
{
    json_t *answer = parse(text);
    int r = answer_lease(answer, id, ttl_s);
    json_decref(answer);
    return r;
}

static void leases_and_tokens_are_read(void **state)
{
    int64_t id, ttl_s;
    char token[ANSWER_TOKEN_SIZE], long_one[ANSWER_TOKEN_SIZE + 64];
    assert_int_equal(lease_of("{\"ID\":\"1879586738094665996\",\"TTL\":\"2\"}", &id, &ttl_s), 0);
    assert_true(id == 1879586738094665996 && ttl_s == 2);
    assert_int_equal(lease_of("{\"ID\":\"5\"}", &id, &ttl_s), 0);
    assert_int_equal(ttl_s, 0);
    assert_int_equal(lease_of("{\"TTL\":\"2\"}", &id, &ttl_s), -EBADMSG);
    assert_int_equal(lease_of("{\"ID\":\"5\",\"TTL\":\"-1\"}", &id, &ttl_s), -EBADMSG);
    static const char *const bad[] = {"{}", "{\"token\":\"\"}", "{\"token\":1}", "{\"token\":\"a b\"}", "{\"token\":\"a\\r\\nX: y\"}",
                                      "{\"token\":\"\\u00e4\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *answer = parse(bad[i]);
        assert_int_equal(answer_token(answer, token), -EBADMSG);
        json_decref(answer);
    }
    json_t *answer = parse("{\"token\":\"RsTrfynjQKilbNNq.31\"}");
    assert_int_equal(answer_token(answer, token), 0);
    assert_string_equal(token, "RsTrfynjQKilbNNq.31");
    json_decref(answer);
    memset(long_one, 'x', sizeof(long_one));
    memcpy(long_one, "{\"token\":\"", 10);
    strcpy(long_one + sizeof(long_one) - 3, "\"}");
    answer = parse(long_one);
    assert_int_equal(answer_token(answer, token), -EBADMSG);
    json_decref(answer);
}

/* Each cut of a good answer is refused, or read without a byte from behind it. */
static void a_cut_answer_is_refused(void **state)
{
    static const char text[] = "{" HEADER ",\"events\":[{\"kv\":{" KEY_A "," NUMBERS ",\"value\":\"dg==\"}}]}";
    for (size_t cut = 0; cut < strlen(text); cut++) {
        char *piece = malloc(cut ? cut : 1); /* its own block: reading beyond it is an error that a sanitizer sees */
        memcpy(piece, text, cut);
        assert_null(answer_parse(piece, cut));
        free(piece);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_is_read),
        cmocka_unit_test(keys_of_others_are_left_out),
        cmocka_unit_test(a_range_that_is_not_right_is_refused),
        cmocka_unit_test(what_is_no_object_is_no_answer),
        cmocka_unit_test(a_commit_is_read),
        cmocka_unit_test(a_watch_is_read),
        cmocka_unit_test(a_watch_that_is_not_right_is_refused),
        cmocka_unit_test(leases_and_tokens_are_read),
        cmocka_unit_test(a_cut_answer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
