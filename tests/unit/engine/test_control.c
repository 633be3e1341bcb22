/* What a write to a control file means: each rule, just inside and just outside. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fs/base/edit_distance.h"
#include "fs/engine/control.h"
#include "fs/engine/control_words.h"
#include "kmsapi/iso_time.h"

#define P64 "a1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID128 "KAAP.1234567890123456789012345678901234567890123456789012345678901234567890" \
              "12345678901234567890123456789012345678901234567890123"

static const int64_t now = 1795478400; /* 2026-11-24T00:00:00Z */

static const struct {
    const char *text;
    const char *reason; /* a part of it; NULL: accepted */
} cases[] = {
    {"abcdefg1\n", NULL},
    {"abcdef1\n", "too short"},
    {P64 "\n", NULL},
    {P64 "a\n", "too long"},
    {"abcdefgh\n", "only one kind"},
    {"12345678\n", "only one kind"},
    {"~!@#$%^&*?_-\n", "only one kind"},
    {"~!@#$%^&*?_-a\n", NULL},
    {"abcdefg1+\n", "not allowed"},
    {"abcdefg1\xc3\xbc\n", "not allowed"},
    {"abcdefg1", "newline"},
    {"", "nothing"},
    {"\n", "empty"},
    {"abcdefg1\nabcdefg1\n", "more than one line"},
    {"abcdefg1\r\n", "carriage return"},
    {"abcdefg1\t\n", "control character"},
    {" abcdefg1\n", "one space"},
    {"abcdefg1 \n", "one space"},
    {"rotate-due\n", "looks like a command"},
    {"retry-check\n", NULL},
    {"retry-check KAAP.1\n", "looks like a command"},
    {"retry-check", "newline"},
    {"delete\n", "looks like a command"},
    {"delete-foreign\n", "looks like a command"},
    {"delete-foreign KAAP.1\n", NULL},
    {"delete-foreign .x\n", "ClientKeyId"},
    {"delete-foreign KAAP.1 x\n", "looks like a command"},
    {"forget payments\n", "looks like a command"},
    {"rotate 2026-12-01T00:00:00Z 2027-12-01T00:00:00Z\n", "looks like a command"},
    {"abcdefg1 2026-12-01T00:00:00Z\n", "two dates or none"},
    {"abcdefg1 2026-12-01T00:00:00Z 2027-12-01T00:00:00Z\n", NULL},
    {"abcdefg1  2026-12-01T00:00:00Z 2027-12-01T00:00:00Z\n", "one space"},
    {"abcdefg1 2026-12-01T00:00:00Z 2027-12-01T00:00:00Z x\n", "too many"},
    {"abcdefg1 2026-12-01T00:00:00Z 2026-12-01T00:00:01Z\n", NULL},
    {"abcdefg1 2026-12-01T00:00:00Z 2026-12-01T00:00:00Z\n", "not later than NotBefore"},
    {"abcdefg1 2020-12-01T00:00:00Z 2026-11-24T00:00:01Z\n", NULL},
    {"abcdefg1 2020-12-01T00:00:00Z 2026-11-24T00:00:00Z\n", "has passed"},
    {"abcdefg1 2026-12-01T00:00:00 2027-12-01T00:00:00Z\n", "NotBefore is not a date"},
    {"abcdefg1 2026-12-01T00:00:00Z 2027-02-29T00:00:00Z\n", "NotAfter is not a date"},
    {"abcdefg1 2026-12-01T00:00:00Z 2028-02-29T23:59:59Z\n", NULL},
    {"delete KAAP.66abf237-63f6-4625-b8cf-47e1086e0000\n", NULL},
    {"delete " ID128 "\n", NULL},
    {"delete " ID128 "x\n", "ClientKeyId"},
    {"delete ../x\n", "ClientKeyId"},
    {"delete .x\n", "ClientKeyId"},
    {"delete KAAP.1 KAAP.2\n", "looks like a command"},
    {"{\"Password\": \"abcdefg1\"}", NULL},
    {"{\n \"Password\": \"abcdefg1\"\n}\n", NULL},
    {"{\"Password\": \"abcdefg1\"", "complete JSON"},
    {"{\"Password\": \"abcdefg1\"}{}", "complete JSON"},
    {"{\"Password\": \"abcdef1\"}", "too short"},
    {"{\"Password\": \"abcdefg1\\u0000\"}", "complete JSON"},
    {"{\"Password\": \"retry-check\"}", NULL},
    {"{\"Password\": \"rotate-now\"}", NULL},
    {"{\"Password\": \"sync\"}", "too short"},
    {"{\"Password\": 12345678}", "are strings"},
    {"{\"Password\": \"abcdefg1\", \"Password\": \"abcdefg2\"}", "stands twice"},
    {"{\"Password\": \"abcdefg1\", \"Pasword\": \"x\"}", "unknown member"},
    {"{\"NotBefore\": \"2026-12-01T00:00:00Z\"}", "Password is missing"},
    {"{\"Password\": \"abcdefg1\", \"NotAfter\": \"2027-12-01T00:00:00Z\"}", "go together"},
    {"{\"Password\": \"abcdefg1\", \"NotBefore\": \"2026-12-01T00:00:00Z\", "
     "\"NotAfter\": \"2027-12-01T00:00:00Z\"}", NULL},
    {"{\"Password\": \"abcdefg1\", \"NotBefore\": \"2026-12-01T00:00:00Z\", "
     "\"NotAfter\": \"2026-11-01T00:00:00Z\"}", "not later"},
    {"{}", "Password is missing"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QUJD\",\"Password\":\"x\"}", NULL},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QUI=\",\"Password\":\" ~\"}", NULL},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QQ==\",\"Password\":\"" P64 P64 "\"}", NULL},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QQ==\",\"Password\":\"" P64 P64 "a\"}", "1 to 128"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QQ==\",\"Password\":\"\"}", "1 to 128"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QQ==\",\"Password\":\"\xc3\xbc\"}", "1 to 128"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QQ==\",\"Password\":\"a\\n\"}", "1 to 128"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"Q===\",\"Password\":\"x\"}", "not base64"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QUJ\",\"Password\":\"x\"}", "not base64"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QU=D\",\"Password\":\"x\"}", "not base64"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QU-D\",\"Password\":\"x\"}", "not base64"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QUJD\\nQUJD\",\"Password\":\"x\"}", "not base64"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"\",\"Password\":\"x\"}", "not base64"},
    {"{\"KeyId\":\"../x\",\"PrivateKeyData\":\"QUJD\",\"Password\":\"x\"}", "KeyId is not"},
    {"{\"KeyId\":\"\",\"PrivateKeyData\":\"QUJD\",\"Password\":\"x\"}", "KeyId is not"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QUJD\"}", "and nothing else"},
    {"{\"KeyId\":\"KAAP.1\",\"Password\":\"abcdefg1\",\"NotBefore\":\"2026-12-01T00:00:00Z\"}", "and nothing else"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QUJD\",\"Password\":\"x\",\"NotBefore\":\"2026-12-01T00:00:00Z\"}",
     "and nothing else"},
    {"{\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QUJD\",\"Password\":7}", "are strings"},
    {"{\"KeyId\":\"KAAP.1\",\"KeyId\":\"KAAP.1\",\"PrivateKeyData\":\"QUJD\",\"Password\":\"x\"}", "stands twice"},
};

static void each_rule_just_inside_and_outside(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct control_command command;
        char reason[256] = "";
        int r = control_parse(false, cases[i].text, strlen(cases[i].text), 0, now, &command, reason,
                              sizeof(reason));
        if (r != (cases[i].reason ? -EINVAL : 0) ||
            (cases[i].reason && !strstr(reason, cases[i].reason)))
            fail_msg("%s: %d, \"%s\"", cases[i].text, r, reason);
        if (strstr(reason, "abcdef") || strstr(reason, P64))
            fail_msg("the reason tells the password: %s", reason);
        control_clear(&command);
    }
}

static int parse(bool mount, const char *text, char reason[256])
{
    struct control_command command;
    int r = control_parse(mount, text, strlen(text), 0, now, &command, reason, 256);
    control_clear(&command);
    return r;
}

static void what_looks_like_a_command_is_no_password(void **state)
{
    static const char *const typos[] = {
        "retry-chek", "retry-checks", "retry_check", "Retry-Check", "RETRY-CHECK", "retrycheck", "rtry-chek", "rety-check",
        "retry-now", "re-try-check", "retry-check1", "rotate-now", "rotates", "rotate_now", "roate-now", "ROTAET-NOW",
        "Rotate-Now", "rotate-deu", "rotate_due", "rotate1234", "delete-all", "delete1234", "Delete-All!", "delet-all",
        "delete-foriegn", "delete-forein", "dlete-foreign", "delete_foreign", "reload-all", "re-loaded", "reloaded-now",
        "reloded-now", "adopt-state", "adopt-stat", "adop-state", "adopt-key", "sync-now", "snyc-now", "forget-payments",
        "upgrade-now", "up-grade", "create-key", "rotat", "relod", "delete:KAAP.1", "sync", "upgrade", "forget",
        "--rotate", "-retry-check", "--delete-all",
        "rotation-now", "deletion-now", "adoption-now", "status-all", "check-now", "export-key", "stauts-all",
    };
    static const char *const after[] = {"", " now", " KAAP.1x", " 2026-12-01T00:00:00Z 2027-12-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof(typos) / sizeof(typos[0]); i++)
        for (size_t j = 0; j < sizeof(after) / sizeof(after[0]); j++) {
            char text[256], reason[256] = "";
            snprintf(text, sizeof(text), "%s%s\n", typos[i], after[j]);
            if (parse(false, text, reason) != -EINVAL || !strstr(reason, "rotate, reloaded, retry-check, delete KAAP.…, delete-f"))
                fail_msg("%s: %s", text, reason);
            if (strstr(reason, "rotates") || !strstr(reason, "as JSON: {\"Password\": \"…\"}"))
                fail_msg("%s: %s", text, reason);
            if (parse(true, typos[i], reason) != -EINVAL)
                fail_msg("%s", text);
        }
}

static void passwords_that_only_resemble_one_are_passwords(void **state)
{
    static const char *const passwords[] = {
        "Rotating-Fish1", "Rotor-Blade-7", "Deleuze-1925", "Delta-Force1", "Forgot-Me-Not", "Retro-Wave9", "Reliant-77", "Upper-Deck1",
        "Correct-Horse1", "correct-horse-battery", "entropy-check", "Adept-Fox12", "Synth-Pop1", "grade-up1", "my-rotate-1", "un-delete-1",
        "1rotate-1", "locate-me1", "create1234", "Retry4ever", "adopted-a-cat", "relocated-1", "sesame-open", "update-1234",
    };
    for (size_t i = 0; i < sizeof(passwords) / sizeof(passwords[0]); i++) {
        char text[256], reason[256] = "";
        snprintf(text, sizeof(text), "%s\n", passwords[i]);
        if (parse(false, text, reason) != 0)
            fail_msg("%s: %s", passwords[i], reason);
    }
}

/* Each way to mistype one of the long commands in one place; the short ones never get long enough to be passwords. */
static void one_slip_anywhere_is_seen(void **state)
{
    static const char *const commands[] = {"retry-check", "delete-foreign", "rotate-due", "adopt-state"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        size_t size = strlen(commands[i]);
        for (size_t at = 0; at < size; at++)
            for (char c = '#'; c <= 'z'; c++) {
                char without[32], swapped[32], other[32], more[32];
                snprintf(without, sizeof(without), "%.*s%s", (int)at, commands[i], commands[i] + at + 1);
                snprintf(other, sizeof(other), "%.*s%c%s", (int)at, commands[i], c, commands[i] + at + 1);
                snprintf(more, sizeof(more), "%.*s%c%s", (int)at, commands[i], c, commands[i] + at);
                snprintf(swapped, sizeof(swapped), "%s", commands[i]);
                if (at + 1 < size) {
                    swapped[at] = commands[i][at + 1];
                    swapped[at + 1] = commands[i][at];
                }
                const char *const words[] = {without, swapped, other, more};
                for (size_t k = 0; k < 4; k++)
                    if (!control_word_is_like_a_command(words[k], strlen(words[k])))
                        fail_msg("%s", words[k]);
            }
    }
}

static void distances_between_words(void **state)
{
    static const struct {
        const char *left, *right;
        unsigned int distance;
    } rows[] = {{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"ABC", "abc", 0}, {"a_c", "a-c", 0},
                {"abc", "ac", 1}, {"ac", "abc", 1}, {"abc", "axc", 1}, {"abc", "acb", 1}, {"abcd", "badc", 2}, {"ca", "abc", 3},
                {"staus", "status", 1}, {"12345678901234567890123456789012", "x", 32},
                {"123456789012345678901234567890123", "x", EDIT_DISTANCE_FAR}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(edit_distance(rows[i].left, strlen(rows[i].left), rows[i].right, strlen(rows[i].right)), rows[i].distance);
}

static void keeps_what_was_given(void **state)
{
    static const char text[] = "abcdefg1 2026-12-01T00:00:00Z 2027-12-01T00:00:00Z\n";
    struct control_command command;
    char reason[256];
    assert_int_equal(control_parse(false, text, strlen(text), 0, now, &command, reason,
                                   sizeof(reason)), 0);
    assert_int_equal(command.verb, CONTROL_CREATE);
    assert_string_equal(command.password, "abcdefg1");
    assert_true(command.has_dates);
    assert_string_equal(command.not_before, "2026-12-01T00:00:00Z");
    assert_int_equal(command.not_after_time - command.not_before_time, 365 * 86400);
}

static void keeps_what_is_to_be_adopted(void **state)
{
    static const char text[] = "{\"Password\":\"1234\",\"PrivateKeyData\":\"MIIJ+/8=\",\"KeyId\":\"KAAP.1\"}";
    struct control_command command;
    char reason[256];
    assert_int_equal(control_parse(false, text, strlen(text), 0, now, &command, reason, sizeof(reason)), 0);
    assert_int_equal(command.verb, CONTROL_ADOPT);
    assert_string_equal(command.client_key_id, "KAAP.1");
    assert_string_equal(command.private_key_data, "MIIJ+/8=");
    assert_string_equal(command.password, "1234");
    assert_int_equal(control_parse(false, "delete-foreign KAAP.1\n", 22, 0, now, &command, reason, sizeof(reason)), 0);
    assert_int_equal(command.verb, CONTROL_DELETE_FOREIGN);
    assert_string_equal(command.client_key_id, "KAAP.1");
}

static void a_piece_of_a_write_is_no_command(void **state)
{
    struct control_command command;
    char reason[256], most[CONTROL_SIZE + 1];
    assert_int_equal(control_parse(false, "abcdefg1\n", 9, 4090, now, &command, reason,
                                   sizeof(reason)), -EINVAL);
    memset(most, ' ', sizeof(most));
    memcpy(most, "{\"Password\":\"abcdefg1\"}", 23);
    assert_int_equal(control_parse(false, most, CONTROL_SIZE, 0, now, &command, reason,
                                   sizeof(reason)), 0);
    assert_int_equal(control_parse(false, most, CONTROL_SIZE + 1, 0, now, &command, reason,
                                   sizeof(reason)), -EINVAL);
}

/* Of --password-file and password_source alike. */
static void a_password_from_windows_is_said_so(void **state)
{
    static const struct {
        const char *password, *words;
    } wrong[] = {
        {"abcdefg1\r", "carriage return (CRLF, as on Windows)"},
        {"\r", "carriage return (CRLF, as on Windows)"},
        {"\xef\xbb\xbf" "abcdefg1", "begins with a byte-order mark"},
        {"abc\rdefg1", "a character that is not allowed"},
        {"\xef\xbb\xbf", "a character that is not allowed"},
        {"abcdefg1 ", "a character that is not allowed"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char reason[256];
        assert_false(control_password_is_valid(wrong[i].password, strlen(wrong[i].password), reason, sizeof(reason)));
        assert_non_null(strstr(reason, wrong[i].words));
        assert_non_null(strstr(reason, "a password is 8 to 64"));
        assert_null(strstr(reason, "abc"));
    }
}

static void the_mounts_control_has_words_of_its_own(void **state)
{
    struct control_command command;
    char reason[256];
    assert_int_equal(control_parse(true, "sync\n", 5, 0, now, &command, reason, sizeof(reason)), 0);
    assert_int_equal(command.verb, CONTROL_SYNC);
    assert_int_equal(control_parse(true, "adopt-state\n", 12, 0, now, &command, reason, sizeof(reason)), 0);
    assert_int_equal(command.verb, CONTROL_ADOPT_STATE);
    assert_int_equal(control_parse(true, "adopt-state now\n", 16, 0, now, &command, reason, sizeof(reason)), -EINVAL);
    assert_non_null(strstr(reason, "sync, rotate-due, reload, upgrade, adopt-state"));
    assert_int_equal(control_parse(true, "forget pay.ments\n", 17, 0, now, &command, reason, sizeof(reason)), 0);
    assert_int_equal(command.verb, CONTROL_FORGET);
    assert_string_equal(command.aap_name, "pay.ments");
    assert_int_equal(control_parse(true, "forget .x\n", 10, 0, now, &command, reason, sizeof(reason)), -EINVAL);
    assert_int_equal(control_parse(true, "forget a/b\n", 11, 0, now, &command, reason, sizeof(reason)), -EINVAL);
    assert_int_equal(control_parse(true, "forget\n", 7, 0, now, &command, reason, sizeof(reason)), -EINVAL);
    assert_int_equal(control_parse(true, "forget a b\n", 11, 0, now, &command, reason, sizeof(reason)), -EINVAL);
    assert_int_equal(control_parse(false, "adopt-state\n", 12, 0, now, &command, reason, sizeof(reason)), -EINVAL);
    assert_int_equal(control_parse(true, "abcdefg1\n", 9, 0, now, &command, reason,
                                   sizeof(reason)), -EINVAL);
    assert_int_equal(control_parse(true, "{\"Password\":\"abcdefg1\"}", 23, 0, now, &command,
                                   reason, sizeof(reason)), -EINVAL);
}

static void rotations_without_a_password(void **state)
{
    static const struct {
        bool mount;
        const char *text;
        enum control_verb verb;
    } rows[] = {{false, "rotate\n", CONTROL_ROTATE}, {false, "reloaded\n", CONTROL_RELOADED},
                {true, "rotate-due\n", CONTROL_ROTATE_DUE}};
    struct control_command command;
    char reason[256];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t size = strlen(rows[i].text);
        assert_int_equal(control_parse(rows[i].mount, rows[i].text, size, 0, now, &command, reason, sizeof(reason)), 0);
        assert_int_equal(command.verb, rows[i].verb);
        assert_int_equal(control_parse(!rows[i].mount, rows[i].text, size, 0, now, &command, reason, sizeof(reason)),
                         -EINVAL);
    }
}

static void times_stay_what_they_are(void **state)
{
    char text[ISO_TIME_SIZE];
    int64_t seconds;
    assert_int_equal(iso_time_parse("1970-01-01T00:00:00Z", 20, &seconds), 0);
    assert_int_equal(seconds, 0);
    assert_int_equal(iso_time_parse("9999-12-31T23:59:59Z", 20, &seconds), 0);
    assert_int_equal(iso_time_format(seconds, text), 0);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
    assert_int_equal(iso_time_format(seconds + 1, text), -EINVAL);
    assert_int_equal(iso_time_format(-1, text), -EINVAL);
    assert_int_equal(iso_time_parse("2026-11-24T24:00:00Z", 20, &seconds), -EINVAL);
    assert_int_equal(iso_time_parse("2026-11-24T23:59:60Z", 20, &seconds), -EINVAL);
    assert_int_equal(iso_time_parse("2026-11-24T00:00:00Z ", 21, &seconds), -EINVAL);
    assert_int_equal(iso_time_parse("1969-12-31T23:59:59Z", 20, &seconds), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_just_inside_and_outside),
        cmocka_unit_test(what_looks_like_a_command_is_no_password),
        cmocka_unit_test(passwords_that_only_resemble_one_are_passwords),
        cmocka_unit_test(one_slip_anywhere_is_seen),
        cmocka_unit_test(distances_between_words),
        cmocka_unit_test(keeps_what_was_given),
        cmocka_unit_test(keeps_what_is_to_be_adopted),
        cmocka_unit_test(a_piece_of_a_write_is_no_command),
        cmocka_unit_test(a_password_from_windows_is_said_so),
        cmocka_unit_test(the_mounts_control_has_words_of_its_own),
        cmocka_unit_test(rotations_without_a_password),
        cmocka_unit_test(times_stay_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
