/* A fleet's records: names, and that what was sealed opens under its own name and the right fleet key alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "fs/fleet/records.h"

static const unsigned char key[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcde";
static const unsigned char other_key[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcdf";
static const struct record_owner owner = {"1192853035110000", "cn-hangzhou"};
static const char name[] = "aapfs/aaps/payments/keys/KAAP.1";

static const struct {
    struct fleet_name name;
    const char *key;
} names[] = {
    {{FLEET_CHECK, "", ""}, "aapfs/check"},
    {{FLEET_HOST, "", "node-1.example.com"}, "aapfs/hosts/node-1.example.com"},
    {{FLEET_CURRENT, "payments", ""}, "aapfs/aaps/payments/current"},
    {{FLEET_LOCK, "payments", ""}, "aapfs/locks/payments"},
    {{FLEET_INTENT, "payments", "00000000000004d2-node-1"}, "aapfs/intents/payments/00000000000004d2-node-1"},
    {{FLEET_DELETED, "payments", "KAAP.66abf237-0d5b"}, "aapfs/aaps/payments/deleted/KAAP.66abf237-0d5b"},
    {{FLEET_SERVED, "payments", "node-1"}, "aapfs/served/payments/node-1"},
    {{FLEET_CLIENT_KEY, "payments", "KAAP.66abf237-0d5b"}, "aapfs/aaps/payments/keys/KAAP.66abf237-0d5b"},
    /* an AAP may be called like anything else here */
    {{FLEET_CURRENT, "current", ""}, "aapfs/aaps/current/current"},
    {{FLEET_CLIENT_KEY, "keys", "lock"}, "aapfs/aaps/keys/keys/lock"},
};

static void names_go_both_ways(void **state)
{
    char text[FLEET_KEY_SIZE];
    struct fleet_name back;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(fleet_name_put("aapfs", &names[i].name, text), 0);
        assert_string_equal(text, names[i].key);
        assert_int_equal(fleet_name_take("aapfs", text, &back), 0);
        assert_int_equal(back.kind, names[i].name.kind);
        assert_string_equal(back.aap, names[i].name.aap);
        assert_string_equal(back.id, names[i].name.id);
        assert_int_equal(fleet_name_take("aapf", text, &back), -EINVAL);
    }
    assert_int_equal(fleet_name_aaps("aapfs", text), 0);
    assert_string_equal(text, "aapfs/aaps/");
    assert_int_equal(fleet_name_hosts("aapfs", text), 0);
    assert_string_equal(text, "aapfs/hosts/");
    assert_int_equal(fleet_name_aap("aapfs", "payments", text), 0);
    assert_string_equal(text, "aapfs/aaps/payments/");
    assert_int_equal(fleet_name_aap("aapfs", "a/b", text), -EINVAL);
    assert_int_equal(fleet_name_all("aapfs", FLEET_INTENT, "payments", text), 0);
    assert_string_equal(text, "aapfs/intents/payments/");
    assert_int_equal(fleet_name_all("aapfs", FLEET_INTENT, "a/b", text), -EINVAL);
    assert_int_equal(fleet_name_all("aapfs", FLEET_LOCK, "payments", text), -EINVAL);
}

static void what_is_no_name_is_refused(void **state)
{
    static const char *const keys[] = {"", "aapfs", "aapfs/", "aapfs/checks", "aapfs/check/", "aapfs/hosts/", "aapfs/hosts/.x",
                                       "aapfs/hosts/a/b", "aapfs/hosts/a b", "aapfs/aaps/", "aapfs/aaps/p", "aapfs/aaps/p/",
                                       "aapfs/aaps/p/keys", "aapfs/aaps/p/keys/", "aapfs/aaps/p/keys/a/b", "aapfs/aaps//current",
                                       "aapfs/aaps/.p/current", "aapfs/aaps/p q/current", "aapfs/aaps/p/currents",
                                       "aapfs/aaps/p/lock", "aapfs/locks/", "aapfs/locks/p/", "aapfs/intents/p", "aapfs/intents/p/", "aapfs/aaps/p/keys/..", "aapfs/aaps/p/other/x", "other/check"};
    static const struct fleet_name bad[] = {{FLEET_CHECK, "p", ""},   {FLEET_CHECK, "", "x"},         {FLEET_HOST, "", ""},
                                            {FLEET_CURRENT, "", ""},  {FLEET_CURRENT, "a/b", ""},     {FLEET_LOCK, "p", "x"},
                                            {FLEET_INTENT, "p", ""},  {FLEET_CLIENT_KEY, "p", "a/b"}, {FLEET_CLIENT_KEY, "p", "\x7f"},
                                            {FLEET_CLIENT_KEY, "", "x"}};
    struct fleet_name back;
    char text[FLEET_KEY_SIZE], longest[FLEET_KEY_SIZE];
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (fleet_name_take("aapfs", keys[i], &back) != -EINVAL)
            fail_msg("%s", keys[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (fleet_name_put("aapfs", &bad[i], text) != -EINVAL)
            fail_msg("%zu: %s", i, text);
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(fleet_name_take("a", longest, &back), -EINVAL);
    memcpy(longest, "a/hosts/", 8);
    assert_int_equal(fleet_name_take("a", longest, &back), -EINVAL);
    memcpy(longest, "a/aaps/", 7);
    assert_int_equal(fleet_name_take("a", longest, &back), -EINVAL);
}

static struct record sample(void)
{
    static char aap[] = "payments", id[] = "KAAP.1", algorithm[] = "RSA_2048", before[] = "2026-11-24T00:00:00Z",
                after[] = "2027-11-24T00:00:00Z", data[] = "MIIJqwIBAzCCCXcGCSqGSIb3DQEHAaCCCWgE", password[] = "A~!@#$%^&*?_-9z",
                request[] = "2312e45f-b2fa-4c34-ad94-3eca50932916";
    return (struct record){aap, id, algorithm, before, after, data, password, request, 1795478400123456789, 7, true};
}

static int open_as(const unsigned char *with, const struct record_owner *whose, const char *where, const char *id,
                   const unsigned char *bytes, size_t size)
{
    struct record record;
    int r = fleet_record_open(with, whose, where, "payments", id, bytes, size, &record);
    if (r == 0)
        assert_string_equal(record.password, "A~!@#$%^&*?_-9z");
    else
        assert_null(record.password);
    record_clear(&record);
    return r;
}

static void a_record_opens_in_its_place_alone(void **state)
{
    const struct record record = sample();
    static const struct record_owner account = {"1192853035110001", "cn-hangzhou"}, region = {"1192853035110000", "cn-shanghai"};
    unsigned char *bytes;
    size_t size;
    assert_int_equal(fleet_record_close(key, &owner, name, &record, &bytes, &size), 0);
    assert_null(memmem(bytes, size, record.password, strlen(record.password)));
    assert_int_equal(open_as(key, &owner, name, "KAAP.1", bytes, size), 0);
    assert_int_equal(open_as(other_key, &owner, name, "KAAP.1", bytes, size), -EBADMSG);
    assert_int_equal(open_as(key, &account, name, "KAAP.1", bytes, size), -EBADMSG);
    assert_int_equal(open_as(key, &region, name, "KAAP.1", bytes, size), -EBADMSG);
    /* moved: to another key, AAP or prefix, among the intents, or with its id changed */
    static const char *const places[] = {"aapfs/aaps/payments/keys/KAAP.2", "aapfs/aaps/orders/keys/KAAP.1",
                                         "other/aaps/payments/keys/KAAP.1", "aapfs/aaps/payments/intents/KAAP.1", ""};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        assert_int_equal(open_as(key, &owner, places[i], "KAAP.1", bytes, size), -EBADMSG);
    assert_int_equal(open_as(key, &owner, name, "KAAP.2", bytes, size), -EBADMSG);
    /* and it is no file of a store, nor the other way */
    struct record back;
    assert_int_equal(record_open(key, &owner, "payments", "KAAP.1", bytes, size, &back), -EBADMSG);
    OPENSSL_free(bytes);
    assert_int_equal(record_close(key, &owner, &record, &bytes, &size), 0);
    assert_int_equal(open_as(key, &owner, name, "KAAP.1", bytes, size), -EBADMSG);
    OPENSSL_free(bytes);
}

static void a_damaged_record_is_refused(void **state)
{
    const struct record record = sample();
    unsigned char *bytes;
    size_t size;
    assert_int_equal(fleet_record_close(key, &owner, name, &record, &bytes, &size), 0);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x10;
        int r = open_as(key, &owner, name, "KAAP.1", bytes, size);
        if (r != -EBADMSG && r != -EINVAL)
            fail_msg("byte %zu: %d", i, r);
        bytes[i] ^= 0x10;
    }
    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *piece = malloc(cut ? cut : 1);
        memcpy(piece, bytes, cut);
        assert_true(open_as(key, &owner, name, "KAAP.1", piece, cut) < 0);
        free(piece);
    }
    OPENSSL_free(bytes);
}

static void notes_open_in_their_place_alone(void **state)
{
    static const char text[] = "{\"ClientKeyId\":\"KAAP.1\"}", current[] = "aapfs/aaps/payments/current";
    unsigned char *bytes;
    size_t size;
    char *back = NULL;
    assert_int_equal(fleet_note_close(key, current, text, &bytes, &size), 0);
    assert_null(memmem(bytes, size, "KAAP", 4));
    assert_int_equal(fleet_note_open(key, current, bytes, size, &back), 0);
    assert_string_equal(back, text);
    OPENSSL_free(back);
    assert_int_equal(fleet_note_open(other_key, current, bytes, size, &back), -EBADMSG);
    assert_int_equal(fleet_note_open(key, "aapfs/aaps/orders/current", bytes, size, &back), -EBADMSG);
    bytes[size - 1] ^= 1;
    assert_int_equal(fleet_note_open(key, current, bytes, size, &back), -EBADMSG);
    bytes[0] ^= 1;
    assert_int_equal(fleet_note_open(key, current, bytes, size, &back), -EINVAL);
    assert_int_equal(fleet_note_open(key, current, (const unsigned char *)"", 0, &back), -EINVAL);
    OPENSSL_free(bytes);
    /* a record is no note */
    const struct record record = sample();
    assert_int_equal(fleet_record_close(key, &owner, name, &record, &bytes, &size), 0);
    assert_int_equal(fleet_note_open(key, name, bytes, size, &back), -EINVAL);
    OPENSSL_free(bytes);
    assert_int_equal(fleet_note_close(key, current, "", &bytes, &size), 0);
    assert_int_equal(fleet_note_open(key, current, bytes, size, &back), 0);
    assert_string_equal(back, "");
    OPENSSL_free(back);
    OPENSSL_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(a_record_opens_in_its_place_alone),
        cmocka_unit_test(a_damaged_record_is_refused),
        cmocka_unit_test(notes_open_in_their_place_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
