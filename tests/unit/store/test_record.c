/* Records on disk: what was closed opens, and nothing else does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "fs/store/record.h"

static const unsigned char key[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcde";
static const unsigned char other_key[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcdf";
static const struct record_owner owner = {"1192853035110000", "cn-hangzhou"};

static struct record sample(void)
{
    static char aap[] = "payments", id[] = "KAAP.1", algorithm[] = "RSA_2048",
                before[] = "2026-11-24T00:00:00Z", after[] = "2027-11-24T00:00:00Z",
                data[] = "MIIJqwIBAzCCCXcGCSqGSIb3DQEHAaCCCWgE", password[] = "A~!@#$%^&*?_-9z",
                request[] = "2312e45f-b2fa-4c34-ad94-3eca50932916";
    return (struct record){aap,  id,       algorithm, before, after,
                           data, password, request,   1795478400123456789, INT64_MAX - 1, true};
}

static void close_sample(unsigned char **bytes, size_t *size)
{
    struct record record = sample();
    assert_int_equal(record_close(key, &owner, &record, bytes, size), 0);
}

static void what_was_closed_opens(void **state)
{
    unsigned char *bytes;
    size_t size;
    struct record record;
    const struct record expected = sample();
    close_sample(&bytes, &size);
    assert_int_equal(record_open(key, &owner, "payments", "KAAP.1", bytes, size, &record), 0);
    assert_string_equal(record.aap_name, expected.aap_name);
    assert_string_equal(record.client_key_id, expected.client_key_id);
    assert_string_equal(record.key_algorithm, expected.key_algorithm);
    assert_string_equal(record.not_before, expected.not_before);
    assert_string_equal(record.not_after, expected.not_after);
    assert_string_equal(record.private_key_data, expected.private_key_data);
    assert_string_equal(record.password, expected.password);
    assert_string_equal(record.request_id, expected.request_id);
    assert_true(record.made_ns == expected.made_ns);
    assert_true(record.intent == expected.intent);
    assert_true(record.dates_given);
    record_clear(&record);
    OPENSSL_free(bytes);
}

static void nothing_secret_is_legible(void **state)
{
    unsigned char *bytes, *again;
    size_t size, again_size;
    const struct record expected = sample();
    close_sample(&bytes, &size);
    close_sample(&again, &again_size);
    assert_null(memmem(bytes, size, expected.password, strlen(expected.password)));
    assert_null(memmem(bytes, size, expected.private_key_data, 16));
    assert_int_equal(size, again_size);
    assert_memory_not_equal(bytes, again, size); /* a fresh nonce */
    OPENSSL_free(bytes);
    OPENSSL_free(again);
}

static void each_flipped_bit_and_each_cut_is_refused(void **state)
{
    unsigned char *bytes;
    size_t size;
    struct record record;
    close_sample(&bytes, &size);
    for (size_t i = 0; i < size; i++)
        for (unsigned int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1U << bit);
            int r = record_open(key, &owner, "payments", "KAAP.1", bytes, size, &record);
            if (r != -EBADMSG && r != -EINVAL)
                fail_msg("byte %zu, bit %u: %d", i, bit, r);
            assert_null(record.password);
            bytes[i] ^= (unsigned char)(1U << bit);
        }
    for (size_t cut = 0; cut < size; cut++) {
        /* its own block: reading beyond it is an error that a sanitizer sees */
        unsigned char *piece = malloc(cut ? cut : 1);
        memcpy(piece, bytes, cut);
        assert_true(record_open(key, &owner, "payments", "KAAP.1", piece, cut, &record) < 0);
        free(piece);
    }
    assert_int_equal(record_open(key, &owner, "payments", "KAAP.1", bytes, size, &record), 0);
    record_clear(&record);
    OPENSSL_free(bytes);
}

static void another_key_account_region_or_name_is_refused(void **state)
{
    static const struct record_owner account = {"1192853035110001", "cn-hangzhou"},
                                     region = {"1192853035110000", "cn-beijing"},
                                     shifted = {"119285303511000", "0cn-hangzhou"};
    unsigned char *bytes;
    size_t size;
    struct record record;
    close_sample(&bytes, &size);
    assert_int_equal(record_open(other_key, &owner, "payments", "KAAP.1", bytes, size, &record), -EBADMSG);
    assert_int_equal(record_open(key, &account, "payments", "KAAP.1", bytes, size, &record), -EBADMSG);
    assert_int_equal(record_open(key, &region, "payments", "KAAP.1", bytes, size, &record), -EBADMSG);
    assert_int_equal(record_open(key, &shifted, "payments", "KAAP.1", bytes, size, &record), -EBADMSG);
    assert_int_equal(record_open(key, &owner, "orders", "KAAP.1", bytes, size, &record), -EBADMSG);
    assert_int_equal(record_open(key, &owner, "payments", "KAAP.2", bytes, size, &record), -EBADMSG);
    OPENSSL_free(bytes);
}

static void what_is_too_large_is_not_closed(void **state)
{
    struct record record = sample();
    char *large = malloc(RECORD_SIZE_MOST + 1);
    unsigned char *bytes = NULL;
    size_t size;
    memset(large, 'A', RECORD_SIZE_MOST);
    large[RECORD_SIZE_MOST] = '\0';
    record.private_key_data = large;
    assert_int_equal(record_close(key, &owner, &record, &bytes, &size), -EMSGSIZE);
    assert_null(bytes);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_closed_opens),
        cmocka_unit_test(nothing_secret_is_legible),
        cmocka_unit_test(each_flipped_bit_and_each_cut_is_refused),
        cmocka_unit_test(another_key_account_region_or_name_is_refused),
        cmocka_unit_test(what_is_too_large_is_not_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
