/* Forms on disk: what was closed opens, and nothing else does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "fs/store/forms.h"
#include "fs/store/record.h"

static const unsigned char key[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcde";
static const struct record_owner owner = {"1192853035110000", "cn-hangzhou"};
static unsigned char pem[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", certificate[] = "-----BEGIN CERTIFICATE-----\n";

static void close_sample(bool certified, unsigned char **bytes, size_t *size)
{
    const struct forms forms = {{pem, sizeof(pem) - 1}, {certificate, certified ? sizeof(certificate) - 1 : 0}};
    assert_int_equal(forms_close(key, &owner, "payments", "KAAP.1", &forms, bytes, size), 0);
}

static void what_was_closed_opens(void **state)
{
    for (int certified = 0; certified < 2; certified++) {
        unsigned char *bytes;
        size_t size;
        struct forms forms;
        close_sample(certified, &bytes, &size);
        assert_null(memmem(bytes, size, "ENCRYPTED", 9));
        assert_int_equal(forms_open(key, &owner, "payments", "KAAP.1", bytes, size, &forms), 0);
        assert_string_equal((char *)forms.private_key_pem.data, (char *)pem);
        assert_int_equal(forms.private_key_pem.size, sizeof(pem) - 1);
        if (certified)
            assert_string_equal((char *)forms.certificate_pem.data, (char *)certificate);
        else
            assert_null(forms.certificate_pem.data);
        forms_clear(&forms);
        OPENSSL_free(bytes);
    }
}

static void what_was_changed_does_not(void **state)
{
    unsigned char *bytes;
    size_t size;
    struct forms forms;
    struct record record;
    close_sample(true, &bytes, &size);
    for (size_t i = 0; i < size; i++)
        for (unsigned int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1U << bit);
            int r = forms_open(key, &owner, "payments", "KAAP.1", bytes, size, &forms);
            if (r != -EBADMSG && r != -EINVAL)
                fail_msg("byte %zu, bit %u: %d", i, bit, r);
            assert_null(forms.private_key_pem.data);
            bytes[i] ^= (unsigned char)(1U << bit);
        }
    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *piece = malloc(cut ? cut : 1);
        memcpy(piece, bytes, cut);
        assert_true(forms_open(key, &owner, "payments", "KAAP.1", piece, cut, &forms) < 0);
        free(piece);
    }
    assert_int_equal(forms_open(key, &owner, "payments", "KAAP.2", bytes, size, &forms), -EBADMSG);
    assert_int_equal(forms_open(key, &owner, "orders", "KAAP.1", bytes, size, &forms), -EBADMSG);
    assert_int_equal(record_open(key, &owner, "payments", "KAAP.1", bytes, size, &record), -EINVAL);
    OPENSSL_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_closed_opens),
        cmocka_unit_test(what_was_changed_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
