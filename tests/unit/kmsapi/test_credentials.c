/* What providers read: sessions as JSON, what a program prints, ini sections, command lines; which hosts are near, and what tells a secret. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kmsapi/base/error_text.h"
#include "kmsapi/credentials/external.h"
#include "kmsapi/credentials/http.h"
#include "kmsapi/credentials/ini.h"
#include "kmsapi/credentials/session_answer.h"
#include "kmsapi/iso_time.h"

enum { NOW = 1767323045 }; /* 2026-01-02T03:04:05Z */

static char reason[256];

/* -- sessions -------------------------------------------------------------------------------- */

static int read_session(const char *text, struct session *session)
{
    *session = (struct session){0};
    reason[0] = '\0';
    json_t *object = session_answer_parse(text, strlen(text), reason, sizeof(reason));
    int r = object ? session_answer_read(object, (struct session_clocks){.ours = NOW}, session, reason, sizeof(reason)) : -EINVAL;
    json_decref(object);
    return r;
}

static void a_session_is_read(void **state)
{
    struct session session;
    assert_int_equal(read_session("{\"Code\":\"Success\",\"AccessKeyId\":\"STS.a\",\"AccessKeySecret\":\"b\","
                                  "\"SecurityToken\":\"c+/=\",\"Expiration\":\"2026-01-02T04:04:05Z\",\"More\":[1]}",
                                  &session), 0);
    assert_string_equal(session.credentials.access_key_id, "STS.a");
    assert_string_equal(session.credentials.access_key_secret, "b");
    assert_string_equal(session.credentials.security_token, "c+/=");
    assert_int_equal(session.life_s, 3600);
    credentials_clear(&session.credentials);
    assert_int_equal(read_session("{\"AccessKeyId\":\"a\",\"AccessKeySecret\":\"b\",\"SecurityToken\":\"c\"}", &session), 0);
    assert_int_equal(session.life_s, 0); /* no end that is known */
    credentials_clear(&session.credentials);
    static const char *const without_token[] = { /* as ack-ram-tool answers for an access key */
        "{\"Code\":\"Success\",\"AccessKeyId\":\"LTAI1\",\"AccessKeySecret\":\"b\",\"SecurityToken\":\"\",\"Expiration\":\"\"}",
        "{\"AccessKeyId\":\"LTAI1\",\"AccessKeySecret\":\"b\",\"SecurityToken\":null,\"Expiration\":null}",
    };
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(read_session(without_token[i], &session), 0);
        assert_string_equal(session.credentials.access_key_id, "LTAI1");
        assert_null(session.credentials.security_token);
        assert_int_equal(session.life_s, 0);
        credentials_clear(&session.credentials);
    }
}

#define PARTS "\"AccessKeyId\":\"a\",\"AccessKeySecret\":\"hidden\",\"SecurityToken\":\"c\""

/* By the sender's clock a session lives as long as that says, and nobody's makes it outlive itself. */
static void the_life_of_a_session_goes_by_the_right_clock(void **state)
{
    enum { DAY = 86400, HOUR = 3600 };
    static const char end[] = "2026-01-02T04:04:05Z"; /* an hour from NOW */
    static const struct {
        int64_t sender, ours, life_s; /* 0: it is over */
        const char *words;
    } cases[] = {
        {0, NOW, HOUR, ""},
        {NOW + 60, NOW, HOUR - 60, ""},
        {NOW, NOW + 2 * HOUR, HOUR, ""},
        {NOW, NOW - 400 * DAY, HOUR, ""}, /* this machine lost its clock */
        {NOW, NOW + 400 * DAY, HOUR, ""},
        {NOW - 400 * DAY, NOW, HOUR, ""}, /* the sender did */
        {NOW - DAY, NOW, HOUR + DAY, ""},
        {NOW + HOUR, NOW, 0, "by the answer's Date it is 2026-01-02T04:04:05Z"},
        {NOW + 3650 * (int64_t)DAY, NOW, 0, "ends at 2026-01-02T04:04:05Z, and by the answer's Date it is 2035-12-31T03:04:05Z"},
        {0, NOW + HOUR, 0, "ends at 2026-01-02T04:04:05Z, and by this machine's clock it is 2026-01-02T04:04:05Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct session_clocks clocks = {cases[i].sender, cases[i].ours};
        int64_t life_s = 0;
        reason[0] = '\0';
        int r = session_answer_life(end, clocks, &life_s, reason, sizeof(reason));
        if ((r == 0) != (cases[i].life_s != 0) || (r == 0 && life_s != cases[i].life_s) || !strstr(reason, cases[i].words))
            fail_msg("case %zu: %d, %lld s, %s", i, r, (long long)life_s, reason);
    }
}

static void an_end_is_read_in_every_form_of_iso_8601(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: none */
    } cases[] = {
        {"2026-01-02T03:04:05Z", NOW},           {"2026-01-02t03:04:05z", NOW},
        {"2026-01-02 03:04:05Z", NOW},           {"2026-01-02T03:04:05.999Z", NOW},
        {"2026-01-02T03:04:05,1Z", NOW},         {"2026-01-02T11:04:05+08:00", NOW},
        {"2026-01-02T11:04:05.123456+0800", NOW}, {"2026-01-01T20:04:05-07", NOW},
        {"2026-01-02T03:04:05+00:00", NOW},      {"2026-01-02T03:04:05", -1},
        {"2026-01-02T03:04:05.Z", -1},           {"2026-01-02T03:04:05+8", -1},
        {"2026-01-02T03:04:05+24:00", -1},       {"2026-01-02T03:04:05+08:60", -1},
        {"2026-01-02T03:04:05Zx", -1},           {"2026-01-02T03:04:05+08:00 ", -1},
        {"2026-02-30T03:04:05+08:00", -1},       {"2026-01-02", -1},
        {"", -1},                                {"2026-01-02T03:04:05+08:0", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t seconds = -1;
        int r = iso_time_parse_foreign(cases[i].text, &seconds);
        if ((r == 0) != (cases[i].seconds >= 0) || (r == 0 && seconds != cases[i].seconds))
            fail_msg("%s: %d, %lld", cases[i].text, r, (long long)seconds);
    }
}

static void what_is_no_session_is_refused(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"", "not one JSON object"},
        {"null", "not one JSON object"},
        {"[{}]", "not one JSON object"},
        {"{" PARTS "} {}", "not one JSON object"},
        {"{" PARTS ",\"AccessKeyId\":\"a\"}", "not one JSON object"},
        {"{" PARTS ",\"AccessKeyId\\u0000\":\"a\"}", "not one JSON object"},
        {"{\"AccessKeyId\":\"a\\u0000b\",\"AccessKeySecret\":\"b\",\"SecurityToken\":\"c\"}", "not one JSON object"},
        {"{}", "AccessKeyId is missing"},
        {"{\"AccessKeyId\":\"a\",\"AccessKeySecret\":true}", "AccessKeySecret is not a string"},
        {"{\"AccessKeyId\":\"a\",\"AccessKeySecret\":\"hidden\"}", "SecurityToken is missing"},
        {"{\"AccessKeyId\":\"a\\tb\",\"AccessKeySecret\":\"b\",\"SecurityToken\":\"c\"}", "printable"},
        {"{\"AccessKeyId\":\"\\u00e4\",\"AccessKeySecret\":\"b\",\"SecurityToken\":\"c\"}", "printable"},
        {"{" PARTS ",\"Code\":\"Fail\\u001b[0m\"}", "its Code is Fail [0m"},
        {"{" PARTS ",\"Code\":{}}", "Code is not a string"},
        {"{\"AccessKeyId\":\"STS.a\",\"AccessKeySecret\":\"hidden\",\"SecurityToken\":\"\"}", "SecurityToken is missing"},
        {"{" PARTS ",\"Expiration\":\"tomorrow\"}", "not a time"},
        {"{" PARTS ",\"Expiration\":\"2026-01-02T03:04:05Z\"}", "over already"},
        {"{" PARTS ",\"Expiration\":\"1970-01-01T00:00:00Z\"}", "over already"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct session session;
        assert_true(read_session(cases[i].text, &session) < 0);
        if (!strstr(reason, cases[i].word))
            fail_msg("%s: %s", cases[i].text, reason);
        assert_null(strstr(reason, "hidden"));
        assert_null(session.credentials.access_key_id);
    }
}

static void what_a_program_prints_is_read(void **state)
{
    struct session session = {0};
    assert_int_equal(external_read(" {\"mode\":\"AK\",\"access_key_id\":\"a\",\"access_key_secret\":\"b\"}\n", &session, reason,
                                   sizeof(reason)), 0);
    assert_null(session.credentials.security_token);
    credentials_clear(&session.credentials);
    assert_int_equal(external_read("{\"mode\":\"StsToken\",\"access_key_id\":\"a\",\"access_key_secret\":\"b\","
                                   "\"sts_token\":\"c\",\"expiration\":\"2999-01-01T00:00:00Z\"}", &session, reason,
                                   sizeof(reason)), 0);
    assert_string_equal(session.credentials.security_token, "c");
    assert_true(session.life_s > 0);
    credentials_clear(&session.credentials);
    static const char *const wrong[] = {
        "", "{}", "[]", "{\"mode\":\"RamRoleArn\"}", "{\"mode\":\"AK\",\"access_key_id\":\"a\"}",
        "{\"mode\":\"StsToken\",\"access_key_id\":\"a\",\"access_key_secret\":\"b\"}",
        "{\"mode\":\"AK\",\"access_key_id\":\"a\",\"access_key_secret\":\"b\",\"expiration\":\"2001-01-01T00:00:00Z\"}",
        "{\"mode\":\"AK\",\"access_key_id\":7,\"access_key_secret\":\"b\"}",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct session none = {0};
        assert_true(external_read(wrong[i], &none, reason, sizeof(reason)) < 0);
        assert_null(none.credentials.access_key_id);
    }
}

/* -- ini ------------------------------------------------------------------------------------- */

static bool note(void *user, const char *key, const char *value)
{
    char *seen = user;
    strcat(strcat(strcat(strcat(seen, key), "="), value), ";");
    return strcmp(key, "bad") != 0;
}

static int read_ini(const char *text, const char *section, char seen[static 512], unsigned int *line)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    seen[0] = '\0';
    int r = ini_read_section(copy, section, note, seen, line);
    free(copy);
    return r;
}

static void a_section_is_read(void **state)
{
    char seen[512];
    unsigned int line;
    static const char file[] = "; words\n\n[one]\na=1\n  b  =  two words ; and more  \r\n# c=3\n[two]\nd=4\n"
                               "[ one ]\ne==5=\nf=";
    assert_int_equal(read_ini(file, "one", seen, &line), 0);
    assert_string_equal(seen, "a=1;b=two words;e==5=;f=;");
    assert_int_equal(read_ini(file, "two", seen, &line), 0);
    assert_string_equal(seen, "d=4;");
    assert_int_equal(read_ini(file, "three", seen, &line), -ENOENT);
    assert_int_equal(read_ini("", "one", seen, &line), -ENOENT);
    assert_int_equal(read_ini("a=1\n[one]", "one", seen, &line), 0);
    assert_string_equal(seen, "");
    static const struct {
        const char *text;
        unsigned int line;
    } wrong[] = {{"[one]\nno", 2}, {"[one\na=1", 1}, {"[one]\n=1", 2}, {"[one]\na=1\nbad=2\nc=3", 3}, {"x", 1}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(read_ini(wrong[i].text, "one", seen, &line), -EINVAL);
        assert_int_equal(line, wrong[i].line);
    }
}

/* -- command lines --------------------------------------------------------------------------- */

static void a_command_line_is_split(void **state)
{
    static const struct {
        const char *line, *words; /* each ended by | */
    } cases[] = {
        {"a", "a|"},
        {"  a\tb\n c ", "a|b|c|"},
        {"'a b' \"c d\"e f\\ g", "a b|c de|f g|"},
        {"a '' \"\"", "a|||"},
        {"'a\\b' \"a\\b\\\"\\\\\" a\\b", "a\\b|a\\b\"\\|ab|"},
        {"$HOME *;`x` >y", "$HOME|*;`x`|>y|"},
        {"a\\\nb \\\n c", "ab|c|"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char **words, joined[128] = "";
        assert_int_equal(words_split(cases[i].line, &words), 0);
        for (char **word = words; *word; word++)
            strcat(strcat(joined, *word), "|");
        assert_string_equal(joined, cases[i].words);
        free(words);
    }
    char many[2 * WORDS_MOST + 4] = "";
    char **words;
    for (int i = 0; i < WORDS_MOST; i++)
        strcat(many, "x ");
    assert_int_equal(words_split(many, &words), 0);
    assert_null(words[WORDS_MOST]);
    free(words);
    strcat(many, "x");
    static const char *const wrong[] = {"", " \t", "'a", "\"a", "a 'b\"", "\"a\\\"", "a\\", "'' a"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(words_split(wrong[i], &words), -EINVAL);
    assert_int_equal(words_split(many, &words), -EINVAL);
}

/* -- what tells a secret ----------------------------------------------------------------------- */

static void a_part_of_a_secret_is_found(void **state)
{
    static const char token[] = "CAIS+/0123456789abcdefghijklmnop=%ZZqrstuv";
    static const struct {
        const char *text, *secret;
        bool tells;
    } cases[] = {
        {"the token CAIS+/0123456789 is bad", token, true},  /* its beginning */
        {"...klmnop=%ZZqrstuv", token, true},                /* its end, with what only looks encoded */
        {"456789abcdefghij", token, true},
        {"456789abcdefghi", token, false},
        {"CAIS%2b%2F0123456789", token, true},
        {"CAIS%252B%252f0123456789", token, true},
        {"CAIS%25252B%25252f012345678", token, false},
        {"456789%61bcdefghij", token, true},
        {"456789%00abcdefgh", token, false},
        {"of a short one: hunter2.", "hunter2", true},
        {"of a short one: hunter%32.", "hunter2", true},
        {"of a short one: hunter", "hunter2", false},
        {"%", "%", true},
        {"%4", token, false},
        {"anything", "", false},
        {"anything", NULL, false},
        {"", token, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (error_text_tells(cases[i].text, cases[i].secret) != cases[i].tells)
            fail_msg("%s", cases[i].text);
}

/* -- near and far ---------------------------------------------------------------------------- */

static void near_hosts_are_told_from_far_ones(void **state)
{
    static const char *const near[] = {"127.0.0.1", "127.9.9.9", "localhost", "LocalHost", "a.localhost", "::1", "[::1]",
                                       "169.254.0.1", "100.100.100.200", "fe80::1", "[fe80::1%25eth0]", "0.0.0.0", "::",
                                       "::ffff:127.0.0.1", "[::ffff:100.100.100.200]", "127.0.0.1.", "localhost.",
                                       "a.localhost.", "100.100.100.200."};
    static const char *const far[] = {"100.100.100.201", "128.0.0.1", "169.253.0.1", "10.0.0.1", "localhost.example",
                                      "xlocalhost", ".localhost..", "127.0.0.1..", ".", "2001:db8::1", "[2001:db8::1]", "::ffff:8.8.8.8", "",
                                      "sts.aliyuncs.com"};
    for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
        if (!http_host_is_local(near[i]))
            fail_msg("%s is near", near[i]);
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
        if (http_host_is_local(far[i]))
            fail_msg("%s is far", far[i]);
}

/* Whatever the types of a session's members are, it is a session, or it is said which member is wrong. */
static void every_type_of_every_member_is_survived(void **state)
{
    static const struct {
        const char *name, *good;
    } members[] = {
        {"AccessKeyId", "\"STS.a\""}, {"AccessKeySecret", "\"b\""}, {"SecurityToken", "\"c\""},
        {"Expiration", "\"2099-01-01T00:00:00Z\""}, {"Code", "\"Success\""}, {"LastUpdated", "\"2020-01-01T00:00:00Z\""},
    };
    static const char *const types[] = {NULL, "null", "7", "1.5", "true", "\"\"", "\"x\"", "\"a\\u0000b\"", "\"\xff\"", "\"\\ud800\"",
                                        "[]", "[null]", "{}", "{\"a\":[{}]}", "1e400"};
    enum { MEMBERS = sizeof(members) / sizeof(members[0]), TYPES = sizeof(types) / sizeof(types[0]) };
    for (size_t i = 0; i < MEMBERS; i++)
        for (size_t j = 0; j < TYPES; j++) {
            char body[1024] = "{";
            struct session session = {0};
            const char *comma = "";
            reason[0] = '\0';
            for (size_t k = 0; k < MEMBERS; k++) {
                const char *value = k == i ? types[j] : members[k].good;
                size_t length = strlen(body);
                if (value)
                    snprintf(body + length, sizeof(body) - length, "%s\"%s\":%s", comma, members[k].name, value);
                comma = value ? "," : comma;
            }
            strcat(body, "}");
            const struct http_answer answer = {.status = 200, .body = body, .size = strlen(body)};
            int r = session_answer_read_http(&answer, &session, reason, sizeof(reason));
            if (r < 0 ? !reason[0] : !session.credentials.access_key_id || !session.credentials.access_key_secret)
                fail_msg("%s: %d, %s", body, r, reason);
            credentials_clear(&session.credentials);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_every_member_is_survived),
        cmocka_unit_test(a_session_is_read),
        cmocka_unit_test(the_life_of_a_session_goes_by_the_right_clock),
        cmocka_unit_test(an_end_is_read_in_every_form_of_iso_8601),
        cmocka_unit_test(what_is_no_session_is_refused),
        cmocka_unit_test(what_a_program_prints_is_read),
        cmocka_unit_test(a_section_is_read),
        cmocka_unit_test(a_command_line_is_split),
        cmocka_unit_test(a_part_of_a_secret_is_found),
        cmocka_unit_test(near_hosts_are_told_from_far_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
