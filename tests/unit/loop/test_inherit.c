/* What writes end with that an earlier worker had begun. */
#include "tests/unit/engine_rig.h"

static void each_gets_what_became_of_it(void **unused)
{
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1", .made = 1000});
    rig_start();
    rig_stop(NULL);
    uint64_t superseded = rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.2", .made = 2000});
    uint64_t made =
        rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.3", .made = 3000, .keeps_intent = true});
    uint64_t rejected = rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.4", .made = 4000,
                                                   .private_key_data = RIG_NO_KEY, .keeps_intent = true});
    assert_int_equal(rig_count_files(".intent-"), 2);
    rig_start();
    /* two waited for the same creation */
    const uint64_t intents[] = {0, made, made, rejected, 12345, superseded};
    const int results[] = {-EIO, 0, 0, -EKEYREJECTED, -EIO, 0};
    for (unsigned int i = 0; i < 6; i++)
        rig_inherit(i, 1, intents[i]);
    rig_inherit(6, 0, 0);
    for (unsigned int i = 0; i < 6; i++)
        assert_int_equal(rig_result(i), results[i]);
    assert_int_equal(rig_result(6), -EIO);
    assert_int_equal(rig.answer_count, 7);
    assert_true(rig_shows("payments", "KAAP.3"));
    assert_true(registry_has_id(rig_aap("payments")->rejected, "KAAP.4"));
    assert_string_equal(rig_aap("payments")->failure.error.code, "Interrupted");
    assert_true(rig_has_logged("before another worker took over"));
    rig_stop(NULL);
    /* what has a record is finished: nothing is left to be settled */
    assert_int_equal(rig_count_files(".intent-"), 0);
    /* and nothing is published that readers see already */
    rig_start();
    rig_inherit(9, 1, made);
    assert_int_equal(rig_result(9), 0);
    assert_int_equal(rig.publications_begun, 0);
}

static void nothing_is_carried_out_again(void **unused)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_inherit(1, rig_aap("payments")->number, 0);
    rig_expect_nothing();
    rig_assert_failed(1, "payments", -EIO, "Interrupted");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "no key was asked for: write again"));
}

static void it_is_answered_when_every_name_shows_the_key(void **unused)
{
    uint64_t made = rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1"});
    rig.first = false;
    rig.holds_publications = true;
    rig_start();
    rig_inherit(1, 1, made);
    rig_publish(0);
    rig_publish(0);
    assert_false(rig_is_answered(1));
    rig_publish(0);
    assert_int_equal(rig_result(1), 0);
    assert_true(rig_shows("payments", "KAAP.1"));
}

static void what_still_waits_at_the_end_is_answered(void **unused)
{
    uint64_t made = rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1"});
    rig.first = false;
    rig.holds_publications = true;
    rig_start();
    rig_inherit(1, 1, made);
    rig_stop(NULL);
    assert_int_equal(rig_result(1), 0); /* it is saved: the next start shows it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(each_gets_what_became_of_it),
        rig_test(nothing_is_carried_out_again),
        rig_test(it_is_answered_when_every_name_shows_the_key),
        rig_test(what_still_waits_at_the_end_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
