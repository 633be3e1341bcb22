/* The loop's life: what it begins, what it holds back for another worker, and how it ends. */
#include "fs/loop/loop.h"
#include "tests/unit/engine_rig.h"

static void start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
}

static void drain(bool on)
{
    loop_drain(rig.engine, on);
    rig_settle();
}

static void what_is_no_command_says_what_would_be(void **unused)
{
    start();
    rig_assert_failed(rig_write("payments", "secret"), "payments", -EINVAL, "InvalidCommand");
    assert_null(strstr(rig_aap("payments")->failure.error.message, "secret"));
    rig_assert_failed(rig_write(NULL, "secret"), NULL, -EINVAL, "InvalidCommand");
    assert_non_null(strstr(registry_mount(rig.registry)->failure.error.message, "sync, rotate-due, reload"));
    rig_expect_nothing();
}

static void an_aap_that_has_left_takes_nothing(void **unused)
{
    start();
    const struct engine_write write = {.number = 1000, .aap = rig_aap("payments")->number, .data = "rotate\n", .size = 7};
    table_find("payments")->gone = true;
    table_add("orders");
    rig_do(NULL, "sync");
    assert_true(loop_submit(rig.engine, &write)); /* whose control was opened before */
    rig_settle();
    assert_int_equal(rig_result(1000), -ENOENT);
}

static void for_another_worker_it_ends_what_it_has_begun_and_begins_nothing(void **unused)
{
    start();
    rig_write("payments", RIG_PASSWORD);
    drain(true);
    uint64_t later = rig_write(NULL, "sync");
    assert_int_equal(rig.drained, 0);
    table_serve();
    assert_int_equal(rig.drained, 1);
    rig_pass(60 * 1000);
    assert_int_equal(rig.drained, 1); /* once */
    assert_false(rig_is_answered(later));
    drain(false); /* it does not come */
    table_serve();
    assert_int_equal(rig_result(later), 0);
}

static void a_key_that_is_not_saved_is_under_way_too(void **unused)
{
    start();
    rig_write("payments", RIG_PASSWORD);
    rig.disk_error = ENOSPC;
    rig_answer_key("KAAP.7");
    drain(true);
    assert_int_equal(rig.drained, 0);
    rig.disk_error = 0;
    rig_pass(5000);
    assert_int_equal(rig.drained, 1);
}

static void an_upgrade_ends_with_the_supervisors_word(void **unused)
{
    start();
    uint64_t number = rig_write(NULL, "upgrade");
    assert_int_equal(rig.upgrades_asked, 1);
    rig_pass(3600 * 1000); /* which has its own patience */
    assert_false(rig_is_answered(number));
    loop_verdict(rig.engine, ENOEXEC, "it does not start");
    rig_settle();
    rig_assert_failed(number, NULL, -ENOEXEC, "Upgrade");
    assert_string_equal(registry_mount(rig.registry)->failure.error.message, "it does not start");
    number = rig_write(NULL, "upgrade");
    loop_verdict(rig.engine, 0, "");
    rig_settle();
    assert_int_equal(rig_result(number), 0);
    assert_string_equal(registry_mount(rig.registry)->failure.error.code, "");
}

static void one_that_the_worker_before_asked_for_is_this_ones(void **unused)
{
    const struct engine_write write = {.number = 1000, .data = "", .inherited = true, .upgrade = true};
    start();
    assert_true(loop_submit(rig.engine, &write));
    rig_pass(3600 * 1000);
    assert_int_equal(rig.upgrades_asked, 1);
    assert_false(rig_is_answered(1000));
    loop_verdict(rig.engine, 0, "");
    rig_settle();
    assert_int_equal(rig_result(1000), 0);
}

static void without_a_publisher_it_cannot_go_on(void **unused)
{
    start();
    rig.publisher_is_gone = true;
    rig_settle();
    assert_int_equal(rig.failed, 1);
}

static void hand_out(void)
{
    rig_answer_key("KAAP.7");
}

static void a_key_that_kms_is_about_to_hand_out_is_saved_before_it_ends(void **unused)
{
    start();
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig.holds_publications = true;
    rig_stop(hand_out);
    assert_int_equal(rig_count_files("payments/KAAP.7"), 1);
    assert_int_equal(rig_result(number), 0); /* the next worker shows it */
}

static void what_still_waits_at_its_end_is_answered(void **unused)
{
    start();
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_stop(NULL); /* KMS does not answer */
    assert_int_equal(rig_result(number), -EIO);
    assert_int_equal(rig_count_files(".intent-"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(what_is_no_command_says_what_would_be),
        rig_test(an_aap_that_has_left_takes_nothing),
        rig_test(for_another_worker_it_ends_what_it_has_begun_and_begins_nothing),
        rig_test(a_key_that_is_not_saved_is_under_way_too),
        rig_test(an_upgrade_ends_with_the_supervisors_word),
        rig_test(one_that_the_worker_before_asked_for_is_this_ones),
        rig_test(without_a_publisher_it_cannot_go_on),
        rig_test(a_key_that_kms_is_about_to_hand_out_is_saved_before_it_ends),
        rig_test(what_still_waits_at_its_end_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
