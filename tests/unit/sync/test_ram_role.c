/* AAPs that are used with a RAM role have no client keys: none is asked for. */
#include "tests/unit/engine_rig.h"

/* KMS lists PAYMENTS with that AuthenticationMethod. */
static void list(const char *method)
{
    const struct kms_aap listed = {.name = "payments", .authentication_method = method};
    rig_expect(RIG_LIST_AAPS, "");
    rig_answer(&(struct rig_result){.aaps = &listed, .count = 1});
}

static void assert_refused(const char *command)
{
    uint64_t number = rig_write("payments", command);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EPERM, "RamRole");
}

static void nothing_is_listed_or_made_of_one(void **unused)
{
    rig_start();
    list("RAMRole");
    rig_answer_aap("RAMRole"); /* whose the account is tells it like any other */
    rig_expect_nothing();
    assert_true(numbers_aap(rig.numbers, rig_aap("payments")->number)->shown);
    assert_refused(RIG_PASSWORD);
    assert_refused("rotate");
    assert_refused("{\"KeyId\": \"KAAP.7\", \"PrivateKeyData\": \"" RIG_KEY "\", \"Password\": \"old\"}");
}

static void a_creation_asks_where_the_listing_does_not_say(void **unused)
{
    table_add("payments");
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1"});
    rig_start();
    list("");
    rig_answer_aap(""); /* whose */
    table_serve();
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_DESCRIBE, "payments");
    rig_answer_aap("RAMRole");
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EPERM, "RamRole");
}

static void one_that_was_made_anew_is_like_any_other(void **unused)
{
    table_add("payments");
    rig_start();
    list("RAMRole");
    rig_answer_aap("RAMRole");
    assert_refused(RIG_PASSWORD);
    rig_write(NULL, "sync");
    list("ClientKey");
    table_serve();
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
    rig_do("payments", RIG_PASSWORD);
    assert_true(rig_shows("payments", "KAAP.1"));
}

static void a_method_that_is_new_may_have_keys(void **unused)
{
    table_add("payments");
    rig_start();
    list("Quantum");
    rig_answer_aap("Quantum");
    rig_expect(RIG_LIST_KEYS, "payments");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(nothing_is_listed_or_made_of_one),
        rig_test(a_creation_asks_where_the_listing_does_not_say),
        rig_test(one_that_was_made_anew_is_like_any_other),
        rig_test(a_method_that_is_new_may_have_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
