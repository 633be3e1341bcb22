/* A fleet's notes: their texts, and that nothing else is one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fleet/notes.h"

static void assert_text(char *text, const char *expected)
{
    assert_string_equal(text, expected);
    free(text);
}

static void texts_go_both_ways(void **state)
{
    struct note_check check;
    struct note_current current;
    struct note_deleted deleted;
    assert_text(note_check_put(&(struct note_check){"1192853035110000", "cn-hangzhou"}),
                "{\"Account\":\"1192853035110000\",\"Region\":\"cn-hangzhou\"}");
    assert_text(note_current_put(&(struct note_current){"KAAP.1", 1795478400123456789}),
                "{\"ClientKeyId\":\"KAAP.1\",\"MadeNs\":1795478400123456789}");
    assert_text(note_deleted_put(&(struct note_deleted){1795478400}), "{\"Deleted\":1795478400}");
    assert_int_equal(note_check_take("{\"Account\":\"1192853035110000\",\"Region\":\"cn-hangzhou\"}", &check), 0);
    assert_string_equal(check.account, "1192853035110000");
    assert_string_equal(check.region, "cn-hangzhou");
    assert_int_equal(note_current_take("{\"ClientKeyId\":\"KAAP.1\",\"MadeNs\":1795478400123456789}", &current), 0);
    assert_string_equal(current.client_key_id, "KAAP.1");
    assert_true(current.made_ns == 1795478400123456789);
    assert_int_equal(note_deleted_take("{\"Deleted\":1795478400}", &deleted), 0);
    assert_true(deleted.time == 1795478400);
}

static void what_is_no_note_is_refused(void **state)
{
    static const char *const texts[] = {"", "{", "{}", "[]", "null", "{\"Account\":\"1\"}", "{\"Account\":\"\",\"Region\":\"r\"}",
                                        "{\"Account\":\"1\",\"Region\":\"r\",\"More\":1}", "{\"Account\":1,\"Region\":\"r\"}",
                                        "{\"Account\":\"123456789012345678901234567890123\",\"Region\":\"r\"}",
                                        "{\"ClientKeyId\":\"K\"}", "{\"ClientKeyId\":\"K\\nX\",\"MadeNs\":1}", "{\"ClientKeyId\":\"K\",\"MadeNs\":\"1\"}",
                                        "{\"ClientKeyId\":\"\",\"MadeNs\":1}", "{\"ClientKeyId\":\"K\",\"MadeNs\":0}",
                                        "{\"ClientKeyId\":\"K\",\"MadeNs\":-1}", "{\"ClientKeyId\":\"K\",\"MadeNs\":1.5}",
                                        "{\"ClientKeyId\":\"K\",\"MadeNs\":1,\"MadeNs\":2}", "{\"ClientKeyId\":\"K\",\"MadeNs\":1} x",
                                        "{\"Deleted\":0}", "{\"Deleted\":true}", "{\"Deleted\":99999999999999999999}"};
    char longest[CLIENT_KEY_ID_SIZE + 64] = "{\"MadeNs\":1,\"ClientKeyId\":\"";
    struct note_check check;
    struct note_current current;
    struct note_deleted deleted;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (note_check_take(texts[i], &check) != -EINVAL || note_current_take(texts[i], &current) != -EINVAL ||
            note_deleted_take(texts[i], &deleted) != -EINVAL)
            fail_msg("%s", texts[i]);
    size_t length = strlen(longest);
    memset(longest + length, 'K', CLIENT_KEY_ID_SIZE);
    strcpy(longest + length + CLIENT_KEY_ID_SIZE, "\"}");
    assert_int_equal(note_current_take(longest, &current), -EINVAL);
    strcpy(longest + length + CLIENT_KEY_ID_SIZE - 1, "\"}");
    assert_int_equal(note_current_take(longest, &current), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_go_both_ways),
        cmocka_unit_test(what_is_no_note_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
