/* The requests to etcd's JSON gateway, to the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/etcd/questions.h"
#include "kmsapi/openssl_cleanup.h"

static void is(char *question, const char *expected)
{
    _cleanup_(secret_string) char *text = question;
    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void each_question(void **state)
{
    is(question_range(&(struct question_range){.key = "a/b", .key_size = 3}), "{\"key\":\"YS9i\"}");
    /* from right behind a/b to the end of what begins with a/ */
    is(question_range(&(struct question_range){.key = "a/b", .key_size = 4, .prefix = "a/", .revision = INT64_MAX, .limit = 64,
                                               .keys_only = true}),
       "{\"key\":\"YS9iAA==\",\"range_end\":\"YTA=\",\"revision\":\"9223372036854775807\",\"limit\":\"64\",\"keys_only\":true}");
    is(question_watch("a/", 12),
       "{\"create_request\":{\"progress_notify\":true,\"fragment\":true,\"key\":\"YS8=\",\"range_end\":\"YTA=\",\"start_revision\":\"12\"}}");
    is(question_grant(10), "{\"TTL\":\"10\"}");
    is(question_lease(1879586738094665996), "{\"ID\":\"1879586738094665996\"}");
    is(question_authenticate("u\"", "p\\\n"), "{\"name\":\"u\\\"\",\"password\":\"p\\\\\\n\"}");
}

static void a_commit(void **state)
{
    const struct fleet_compare compares[] = {{"a", FLEET_VERSION, 0}, {"b", FLEET_MOD_REVISION, 5}, {"c", FLEET_CREATE_REVISION, 6}};
    const struct fleet_change changes[] = {{"a", "v", 1, 77}, {"b", "", 0, 0}, {"c", NULL, 0, 0}};
    is(question_commit(&(struct fleet_commit){.compares = compares, .compare_count = 3, .changes = changes, .change_count = 3}),
       "{\"compare\":[{\"target\":\"VERSION\",\"result\":\"EQUAL\",\"key\":\"YQ==\",\"version\":\"0\"},"
       "{\"target\":\"MOD\",\"result\":\"EQUAL\",\"key\":\"Yg==\",\"mod_revision\":\"5\"},"
       "{\"target\":\"CREATE\",\"result\":\"EQUAL\",\"key\":\"Yw==\",\"create_revision\":\"6\"}],"
       "\"success\":[{\"request_put\":{\"key\":\"YQ==\",\"value\":\"dg==\",\"lease\":\"77\"}},"
       "{\"request_put\":{\"key\":\"Yg==\",\"value\":\"\"}},{\"request_delete_range\":{\"key\":\"Yw==\"}}],"
       "\"failure\":[{\"request_range\":{\"key\":\"YQ==\"}},{\"request_range\":{\"key\":\"Yg==\"}},{\"request_range\":{\"key\":\"Yw==\"}}]}");
}

static void a_prefix_without_an_end_is_none(void **state)
{
    assert_null(question_watch("", 1));
    char endless[FLEET_KEY_SIZE + 1];
    memset(endless, 'a', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    assert_null(question_watch(endless, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_question),
        cmocka_unit_test(a_commit),
        cmocka_unit_test(a_prefix_without_an_end_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
