/* The listings of AAPs' keys: what is believed of them, what is asked after them, and when they come again. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1 and, current, KAAP.2. */
static void start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD);
}

/* Its keys are being listed; the number of the write that asked for that. */
static uint64_t list(void)
{
    uint64_t number = rig_write(NULL, "sync");
    table_serve_until(RIG_LIST_KEYS);
    return number;
}

static bool is_gone(const char *id)
{
    return registry_find_key(rig_aap("payments"), id)->gone;
}

static void kms_is_asked_for_each_key_that_it_did_not_list(void **unused)
{
    start();
    uint64_t number = list();
    rig_answer_keys(NULL, 0);
    rig_expect(RIG_GET, "KAAP.2");
    rig_refuse(ENOENT, "Forbidden.ResourceNotFound", 404);
    rig_expect(RIG_GET, "KAAP.1");
    table_serve(); /* it is there */
    assert_true(is_gone("KAAP.2"));
    assert_false(is_gone("KAAP.1"));
    assert_true(rig_has_logged("payments: KMS no longer has the current client key KAAP.2"));
    rig_assert_failed(number, NULL, -EIO, "Answer.Incomplete");
    rig_pass(5000);
    rig_expect(RIG_LIST_KEYS, "payments");
    table_serve(); /* which has it again */
    assert_false(is_gone("KAAP.2"));
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
}

static void a_code_that_may_mean_something_else_takes_no_key(void **unused)
{
    start();
    list();
    rig_answer_keys(NULL, 0);
    rig_expect(RIG_GET, "KAAP.2");
    rig_refuse(ENOENT, "Forbidden.InstanceNotFound", 404);
    table_serve();
    assert_false(is_gone("KAAP.2"));
}

static void whether_kms_has_the_aap_is_asked_where_it_cannot_list(void **unused)
{
    start();
    uint64_t number = list();
    rig_refuse(ENOENT, "Forbidden.ResourceNotFound", 404);
    rig_expect(RIG_DESCRIBE, "payments");
    rig_answer_aap(NULL);
    rig_expect(RIG_LIST_KEYS, "payments");
    assert_false(rig_aap("payments")->gone);
    rig_refuse(ENOENT, "Forbidden.ResourceNotFound", 404); /* it was asked already */
    rig_assert_failed(number, NULL, -ENOENT, "Forbidden.ResourceNotFound");
    rig_pass(5000);
    rig_expect(RIG_LIST_KEYS, "payments");
    rig_refuse(ENOENT, "Forbidden.ResourceNotFound", 404);
    rig_refuse(ENOENT, "Forbidden.ResourceNotFound", 404);
    assert_true(rig_aap("payments")->gone);
}

static void what_a_command_did_meanwhile_is_not_judged_by_it(void **unused)
{
    start();
    list();
    rig_write("payments", RIG_PASSWORD);
    rig_answer_keys(NULL, 0);
    rig_expect(RIG_CREATE, "payments"); /* no key is asked for */
    table_serve();
    rig_pass(1000 - RIG_ANSWER_MS - 1);
    rig_expect_nothing();
    rig_pass(1);
    rig_expect(RIG_LIST_KEYS, "payments");
}

static void listings_that_nobody_waits_for_keep_the_pace(void **unused)
{
    rig.config.requests_per_second = 1;
    table_add("orders");
    table_add("payments");
    table_add("refunds");
    rig_start();
    table_serve();
    for (unsigned int i = 0; i < 3; i++) {
        rig_expect_nothing();
        rig_pass(1000);
        rig_expect(RIG_LIST_KEYS, kms_table.aaps[i].name);
        table_serve();
    }
    list();
    for (unsigned int i = 0; i < 3; i++) { /* somebody waits */
        rig_expect(RIG_LIST_KEYS, kms_table.aaps[i].name);
        rig_answer_keys(NULL, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(kms_is_asked_for_each_key_that_it_did_not_list),
        rig_test(a_code_that_may_mean_something_else_takes_no_key),
        rig_test(whether_kms_has_the_aap_is_asked_where_it_cannot_list),
        rig_test(what_a_command_did_meanwhile_is_not_judged_by_it),
        rig_test(listings_that_nobody_waits_for_keep_the_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
