/* Base64: what was written is read, and nothing else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "kmsapi/base/base64.h"

static void what_was_written_is_read_and_nothing_else(void **state)
{
    static const char *const bad[] = {"Y", "YQ", "YQ=", "YQ==\n", " YQ==", "YQ== ", "YR==", "YWJ=", "Y===", "====", "YQ==YQ==",
                                      "YW-j", "YW_j", "Y\xc3\xa4Q", "YQ=a"};
    unsigned char *data;
    size_t size;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (base64_decode(bad[i], &data, &size) != -EBADMSG)
            fail_msg("%s", bad[i]);
    assert_int_equal(base64_decode("", &data, &size), 0);
    assert_int_equal(size, 0);
    OPENSSL_free(data);
    unsigned char all[256];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (unsigned char)i;
    for (size_t length = 0; length <= sizeof(all); length++) {
        char *text = base64_encode(all, length);
        assert_int_equal(base64_decode(text, &data, &size), 0);
        assert_int_equal(size, length);
        assert_memory_equal(data, all, length);
        assert_int_equal(data[length], 0);
        OPENSSL_free(data);
        OPENSSL_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
