/* The notes by which hosts know of each other: what is put is taken, and nothing else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fleet/notes.h"

static void what_is_put_is_taken(void **unused)
{
    const struct note_lock lock = {"node-1.example.com", "0123456789abcdef0123456789abcdef", 1700000000};
    const struct note_presence presence = {"0123", 1700000000, true};
    const struct note_served served = {"0123", "KAAP.1", INT64_C(1700000000123456789), 1700000000, ""};
    struct note_lock lock_back = {0};
    struct note_presence presence_back = {0};
    struct note_served served_back = {0};
    char *texts[] = {note_lock_put(&lock), note_presence_put(&presence), note_served_put(&served)};
    assert_int_equal(note_lock_take(texts[0], &lock_back), 0);
    assert_memory_equal(&lock_back, &lock, sizeof(lock));
    assert_int_equal(note_presence_take(texts[1], &presence_back), 0);
    assert_string_equal(presence_back.nonce, "0123");
    assert_true(presence_back.reported && presence_back.since == 1700000000);
    assert_int_equal(note_served_take(texts[2], &served_back), 0);
    assert_memory_equal(&served_back, &served, sizeof(served));
    /* one is no other */
    assert_int_equal(note_served_take(texts[0], &served_back), -EINVAL);
    assert_int_equal(note_lock_take(texts[1], &lock_back), -EINVAL);
    assert_int_equal(note_presence_take(texts[2], &presence_back), -EINVAL);
    for (size_t i = 0; i < 3; i++)
        free(texts[i]);
}

static void nothing_else_is(void **unused)
{
    static const char *const locks[] = {
        "", "{}", "[]", "null", "{\"Host\":\"a\",\"Nonce\":\"b\"}", "{\"Host\":\"a\",\"Nonce\":\"b\",\"Since\":\"1\"}",
        "{\"Host\":\"\",\"Nonce\":\"b\",\"Since\":1}", "{\"Host\":\"a b\",\"Nonce\":\"b\",\"Since\":1}",
        "{\"Host\":\"a\\n\",\"Nonce\":\"b\",\"Since\":1}", "{\"Host\":\"a\",\"Nonce\":\"b\",\"Since\":-1}",
        "{\"Host\":\"a\",\"Nonce\":\"b\",\"Since\":253402300800}", "{\"Host\":\"a\",\"Nonce\":\"b\",\"Since\":1,\"More\":1}",
        "{\"Host\":\"a\",\"Host\":\"a\",\"Nonce\":\"b\",\"Since\":1}", "{\"Host\":\"a\",\"Nonce\":\"b\",\"Since\":1} x",
        "{\"Host\":\"a\",\"Nonce\":\"012345678901234567890123456789012\",\"Since\":1}",
    };
    struct note_lock lock;
    for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++)
        assert_int_equal(note_lock_take(locks[i], &lock), -EINVAL);
    assert_int_equal(note_lock_take("{\"Since\": 1, \"Nonce\": \"b\", \"Host\": \"a\"}", &lock), 0);

    struct note_served served;
    assert_int_equal(note_served_take("{\"Nonce\":\"b\",\"ClientKeyId\":\"\",\"MadeNs\":1,\"Since\":1,\"Notified\":\"\"}",
                                           &served), -EINVAL);
    assert_int_equal(note_served_take("{\"Nonce\":\"b\",\"ClientKeyId\":\"K\",\"MadeNs\":-1,\"Since\":1,\"Notified\":\"\"}",
                                           &served), -EINVAL);
    struct note_presence presence;
    assert_int_equal(note_presence_take("{\"Nonce\":\"b\",\"Since\":1,\"Reported\":1}", &presence), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_taken),
        cmocka_unit_test(nothing_else_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
