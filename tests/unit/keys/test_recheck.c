/* `retry-check`: a key that did not open before, and does now. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1, and KAAP.77, which came before or after it, does not open. */
static void start(bool before)
{
    table_add("payments");
    rig_start();
    table_serve();
    if (!before)
        rig_do("payments", RIG_PASSWORD);
    rig_write("payments", RIG_PASSWORD);
    rig_answer_no_key("KAAP.77");
    if (before)
        rig_do("payments", RIG_PASSWORD);
    assert_true(registry_has_id(rig_aap("payments")->rejected, "KAAP.77"));
}

static void the_newest_becomes_the_current_one(void **unused)
{
    start(false);
    rig.opens_everything = true;
    rig.holds_publications = true;
    uint64_t number = rig_write("payments", "retry-check");
    rig_expect_nothing(); /* it is here already */
    assert_false(registry_has_id(rig_aap("payments")->rejected, "KAAP.77"));
    assert_int_equal(rig.publications[rig.publications_ended].kind, PUBLISH_KEY);
    rig_publish(0);
    assert_false(rig_is_answered(number));
    rig_publish(0);
    assert_int_equal(rig_result(number), 0);
    assert_true(rig_shows("payments", "KAAP.77"));
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
}

static void an_older_one_is_only_in_keys(void **unused)
{
    start(true);
    rig.opens_everything = true;
    rig_do("payments", "retry-check");
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_int_equal(rig_published(PUBLISH_GENERATION), 1); /* it has always shown that */
    const struct registry_key *key = registry_find_key(rig_aap("payments"), "KAAP.77");
    assert_non_null(key);
    assert_true(numbers_key(rig.numbers, key->number)->shown);
    assert_int_equal(rig_count_files("payments/.KAAP.77.forms"), 1);
}

static void one_that_does_not_open_stays_rejected(void **unused)
{
    start(false);
    rig_assert_failed(rig_write("payments", "retry-check"), "payments", -EKEYREJECTED, "KeyRejected");
    rig_damage_file("payments/KAAP.77");
    rig.opens_everything = true;
    rig_assert_failed(rig_write("payments", "retry-check"), "payments", -EKEYREJECTED, "KeyRejected");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "its record cannot be read"));
    assert_true(registry_has_id(rig_aap("payments")->rejected, "KAAP.77"));
    assert_true(rig_shows("payments", "KAAP.1"));
}

static void where_none_is_rejected_that_is_said(void **unused)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_assert_failed(rig_write("payments", "retry-check"), "payments", -ENOENT, "NothingRejected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(the_newest_becomes_the_current_one),
        rig_test(an_older_one_is_only_in_keys),
        rig_test(one_that_does_not_open_stays_rejected),
        rig_test(where_none_is_rejected_that_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
