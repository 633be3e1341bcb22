/* The password of a creation that nobody gives one for. */
#include <sys/stat.h>

#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has a key. */
static void start(enum config_password_source source, const char *password)
{
    rig.config.defaults.password_source = source;
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.90", .password = password});
    table_add("payments");
    rig_start();
    table_serve();
}

static void assert_refused(const char *text)
{
    uint64_t number = rig_write("payments", "rotate");
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EINVAL, "PasswordSource");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, text));
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "nothing was sent"));
}

static void keep_takes_the_newest_records(void **unused)
{
    start(PASSWORD_KEEP, "Another1~");
    rig_write("payments", "rotate");
    assert_string_equal(rig_expect(RIG_CREATE, "payments")->password, "Another1~");
    table_serve();
    rig_do("payments", "Newest01~");
    rig_write("payments", "rotate");
    assert_string_equal(rig_expect(RIG_CREATE, "payments")->password, "Newest01~");
}

static void keep_keeps_none_that_kms_does_not_take(void **unused)
{
    start(PASSWORD_KEEP, "old");
    assert_refused("is not one that KMS takes for a new key");
}

static void keep_needs_the_record(void **unused)
{
    start(PASSWORD_KEEP, NULL);
    rig_damage_file("payments/KAAP.90");
    assert_refused("the record of KAAP.90 cannot be read");
}

/* Of at least one of each kind. */
static void assert_strong(const char *password)
{
    assert_int_equal(strlen(password), 32);
    assert_true(strpbrk(password, "0123456789"));
    assert_true(strpbrk(password, "~!@#$%^&*?_-"));
    assert_true(strpbrk(password, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"));
}

static void generate_makes_another_one_each_time(void **unused)
{
    char first[129];
    start(PASSWORD_GENERATE, NULL);
    for (int i = 0; i < 800; i++) { /* of 100 one would lack a kind by chance */
        rig_write("payments", "rotate");
        const char *password = rig_expect(RIG_CREATE, "payments")->password;
        assert_strong(password);
        if (i == 0)
            strcpy(first, password);
        else
            assert_string_not_equal(password, first);
        rig_refuse(EAGAIN, "Throttling.User", 429);
    }
}

/* ORDERS has no key. */
static void a_first_one_is_first_keys(void **unused)
{
    rig.config.defaults.password_source = PASSWORD_FILE;
    rig.config.defaults.first_key = FIRST_KEY_FILE;
    snprintf(rig.config.defaults.first_key_file, sizeof(rig.config.defaults.first_key_file), "%s/first", rig_place());
    table_add("orders");
    rig_start();
    table_serve();
    rig_await_thread();
    assert_string_equal(rig_aap("orders")->failure.error.code, "PasswordSource");
    assert_non_null(strstr(rig_aap("orders")->failure.error.message, "first_key: "));
    assert_non_null(strstr(rig_aap("orders")->failure.error.message, "No such file"));
    FILE *file = fopen(rig.config.defaults.first_key_file, "we");
    assert_non_null(file);
    assert_true(fputs(RIG_PASSWORD "\n", file) >= 0);
    assert_int_equal(fchmod(fileno(file), 0600), 0);
    assert_int_equal(fclose(file), 0);
    rig_pass(2000);
    rig_await_thread();
    assert_string_equal(rig_expect(RIG_CREATE, "orders")->password, RIG_PASSWORD);
    table_serve();
    assert_true(rig_has_logged("orders: created KAAP.1"));
    assert_true(rig_has_logged("by first_key = file:/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(keep_takes_the_newest_records),
        rig_test(keep_keeps_none_that_kms_does_not_take),
        rig_test(keep_needs_the_record),
        rig_test(generate_makes_another_one_each_time),
        rig_test(a_first_one_is_first_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
