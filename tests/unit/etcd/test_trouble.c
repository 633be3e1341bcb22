/* What is made of etcd's errors, in each of the forms that its versions have: which errno, and what is done next. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/etcd/trouble.h"

static const char url[] = "https://10.0.0.1:2379";

#define OF(words, code) "{\"error\":\"etcdserver: " words "\",\"message\":\"etcdserver: " words "\",\"code\":" code "}"

static const struct {
    long status;
    const char *body;
    enum trouble_next next;
    int number;
    const char *text;
} cases[] = {
    {401, OF("invalid auth token", "16"), TROUBLE_TOKEN, EACCES, "invalid auth token"},
    {400, OF("user name is empty", "3"), TROUBLE_TOKEN, EACCES, "etcd wants a user; see user and password_file"},
    {400, OF("revision of auth store is old", "3"), TROUBLE_TOKEN, EACCES, "is old"},
    {400, OF("authentication failed, invalid user ID or password", "3"), TROUBLE_FINAL, EACCES, "see user and password_file"},
    {403, OF("permission denied", "7"), TROUBLE_FINAL, EACCES, "role must read and write all keys of prefix"},
    {404, OF("requested lease not found", "5"), TROUBLE_FINAL, ENOENT, "lease not found"},
    {400, OF("mvcc: required revision has been compacted", "11"), TROUBLE_FINAL, ESTALE, "compacted"},
    {400, OF("mvcc: required revision is a future revision", "11"), TROUBLE_ELSEWHERE, EIO, "future"},
    {429, OF("mvcc: database space exceeded", "8"), TROUBLE_FINAL, ENOSPC, "etcdctl alarm disarm"},
    {429, OF("too many requests", "8"), TROUBLE_ELSEWHERE, EAGAIN, "too many"},
    {412, OF("authentication is not enabled", "9"), TROUBLE_FINAL, EOPNOTSUPP, "not enabled"},
    {503, OF("no leader", "14"), TROUBLE_ELSEWHERE, EAGAIN, "it has lost the other members"},
    {503, OF("request timed out", "14"), TROUBLE_ELSEWHERE, EAGAIN, "timed out"},
    {504, OF("anything", "4"), TROUBLE_ELSEWHERE, EIO, "anything"},
    {400, OF("key is not provided", "3"), TROUBLE_FINAL, EINVAL, "key is not provided"},
    {501, OF("nothing", "12"), TROUBLE_NOWHERE, EOPNOTSUPP, "right is etcd from 3.4 on"},
    /* of 3.6; of streams; without a code; with one that is none */
    {403, "{\"code\":7,\"message\":\"etcdserver: permission denied\",\"details\":[]}", TROUBLE_FINAL, EACCES, "denied"},
    {503, "{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":\"etcdserver: no leader\"}}", TROUBLE_ELSEWHERE, EAGAIN, "no leader"},
    {500, "{\"error\":\"x\"}", TROUBLE_ELSEWHERE, EIO, "x"},
    {500, "{\"error\":{}}", TROUBLE_ELSEWHERE, EIO, "an error without words"},
    {500, OF("x", "99"), TROUBLE_ELSEWHERE, EIO, "x"},
    {500, OF("x", "-1"), TROUBLE_ELSEWHERE, EIO, "x"},
    {500, OF("x", "\"7\""), TROUBLE_ELSEWHERE, EIO, "x"},
    /* what is not etcd */
    {404, "Not Found", TROUBLE_NOWHERE, EBADMSG, "not an answer of etcd (HTTP 404); is its enable-grpc-gateway on?"},
    {502, "<html>", TROUBLE_NOWHERE, EBADMSG, "not an answer of etcd (HTTP 502); is the URL right?"},
    {302, "", TROUBLE_NOWHERE, EBADMSG, "(HTTP 302)"},
    {200, "{}", TROUBLE_NOWHERE, EBADMSG, "(HTTP 200)"},
    {400, "CommonName of client sending a request against gateway will be ignored and not used as expected\n", TROUBLE_NOWHERE,
     EACCES, "no certificate that has a CommonName"},
};

static void each_answer(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trouble trouble;
        trouble_of_answer(&trouble, cases[i].status, cases[i].body, strlen(cases[i].body), url);
        if (trouble.next != cases[i].next || trouble.error.number != cases[i].number ||
            strncmp(trouble.error.text, url, strlen(url)) != 0 || !strstr(trouble.error.text, cases[i].text))
            fail_msg("%s: %u, %d, \"%s\"", cases[i].body, trouble.next, trouble.error.number, trouble.error.text);
        /* what etcd has refused was not carried out; of anything else who knows */
        if (trouble.next == TROUBLE_ELSEWHERE)
            assert_true(trouble.error.maybe_done);
        if (trouble.next == TROUBLE_FINAL || trouble.next == TROUBLE_TOKEN)
            assert_false(trouble.error.maybe_done);
    }
}

static void reasons_of_a_canceled_watch(void **state)
{
    struct trouble trouble;
    trouble_of_reason(&trouble, "rpc error: code = PermissionDenied desc = etcdserver: permission denied", url);
    assert_int_equal(trouble.error.number, EACCES);
    assert_int_equal(trouble.next, TROUBLE_FINAL);
    trouble_of_reason(&trouble, "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token", url);
    assert_int_equal(trouble.next, TROUBLE_TOKEN);
    static const char *const others[] = {"", "x", "rpc error: code = ", "rpc error: code = Unauth desc = y", "z desc = ",
                                         "rpc error: code = PermissionDeniedX desc = y"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        trouble_of_reason(&trouble, others[i], url);
        assert_int_equal(trouble.next, TROUBLE_ELSEWHERE);
        assert_int_equal(trouble.error.number, EIO);
    }
}

/* One line, whatever a server writes, or without an end. */
static void words_from_outside_are_made_harmless(void **state)
{
    struct trouble trouble;
    static const char body[] = "{\"error\":\"a\\nb\\u001b[31mc\\u00e4\",\"code\":2}";
    trouble_of_answer(&trouble, 500, body, strlen(body), url);
    for (const char *c = trouble.error.text; *c; c++)
        assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
    char longest[20000];
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "{\"error\":\"", 10);
    memcpy(longest + sizeof(longest) - 2, "\"}", 2);
    trouble_of_answer(&trouble, 500, longest, sizeof(longest), url);
    assert_true(strlen(trouble.error.text) < sizeof(trouble.error.text));
    trouble_of_answer(&trouble, 500, longest, 17, url);
    assert_int_equal(trouble.error.number, EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer),
        cmocka_unit_test(reasons_of_a_canceled_watch),
        cmocka_unit_test(words_from_outside_are_made_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
