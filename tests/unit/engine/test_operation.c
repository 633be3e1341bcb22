/* A command and who waits for it: repeated, in each other's way, too late, interrupted. */
#include "tests/unit/engine_rig.h"

static void start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
}

static void the_same_bytes_of_the_same_user_are_one_command(void **unused)
{
    start();
    uint64_t one = rig_write_by("payments", RIG_PASSWORD, 1, 7), other = rig_write_by("payments", RIG_PASSWORD, 2, 7);
    assert_int_equal(rig_count_requests(RIG_CREATE), 1);
    table_serve();
    assert_int_equal(rig_result(one), 0);
    assert_int_equal(rig_result(other), 0);
    assert_int_equal(table_count(table_find("payments")), 1);
}

static void anybody_elses_is_in_its_way(void **unused)
{
    start();
    uint64_t one = rig_write_by("payments", RIG_PASSWORD, 1, 7);
    rig_assert_failed(rig_write_by("payments", RIG_PASSWORD, 2, 8), "payments", -EBUSY, "Busy");
    rig_assert_failed(rig_write_by("payments", "Another1~", 1, 7), "payments", -EBUSY, "Busy");
    table_serve();
    assert_int_equal(rig_result(one), 0);
    assert_int_equal(table_count(table_find("payments")), 1);
    const uid_t unknown = (uid_t)-1; /* who may be anybody */
    rig_write_by("payments", "Another2~", 1, unknown);
    rig_assert_failed(rig_write_by("payments", "Another2~", 1, unknown), "payments", -EBUSY, "Busy");
}

static void whoever_was_interrupted_hears_the_result_when_he_asks_again(void **unused)
{
    start();
    rig_write("payments", RIG_PASSWORD);
    rig.nobody_waits = true;
    table_serve();
    rig.nobody_waits = false;
    uint64_t again = rig_write("payments", RIG_PASSWORD);
    rig_expect_nothing();
    assert_int_equal(rig_result(again), 0);
    rig_pass(rig.config.request_timeout_ms); /* after which it is another command */
    rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_CREATE, "payments");
}

static void who_has_waited_long_enough_is_answered_and_it_goes_on(void **unused)
{
    start();
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_pass(rig.config.request_timeout_ms + 499); /* an answer may come at the request's own deadline */
    assert_false(rig_is_answered(number));
    rig_pass(1);
    assert_int_equal(rig_result(number), -ETIMEDOUT);
    number = rig_write("payments", RIG_PASSWORD); /* who waits anew */
    rig_pass(rig.config.request_timeout_ms + 499);
    assert_false(rig_is_answered(number));
    rig_pass(1);
    assert_int_equal(rig_result(number), -ETIMEDOUT);
    assert_int_equal(rig_count_requests(RIG_CREATE), 1);
    table_serve();
    assert_true(rig_shows("payments", "KAAP.1"));
}

static void right_after_a_failure_of_the_network_kms_is_not_asked(void **unused)
{
    start();
    rig_write("payments", "delete-foreign KAAP.9"); /* which asks nothing */
    rig_write("payments", RIG_PASSWORD);
    rig_lose();
    rig_postpone();
    uint64_t number = rig_write("payments", "Another1~");
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    rig_assert_failed(number, "payments", -ECONNRESET, "Network.Reset");
    rig_assert_failed(rig_write("payments", "retry-check"), "payments", -ENOENT, "NothingRejected"); /* it asks nothing */
    table_serve();
    rig_pass(rig.config.creation_guard_ms);
    rig_write("payments", "Another1~");
    rig_expect(RIG_CREATE, "payments");
}

static void a_success_ends_the_failures_of_its_kind(void **unused)
{
    start();
    rig_write("payments", "delete KAAP.9");
    rig_do("payments", RIG_PASSWORD);
    assert_string_equal(rig_aap("payments")->failure.error.operation, "DeleteClientKey"); /* nobody has seen to that */
    rig_write("payments", RIG_PASSWORD);
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    assert_string_equal(rig_aap("payments")->failure.error.operation, "CreateClientKey");
    rig_do("payments", RIG_PASSWORD);
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(the_same_bytes_of_the_same_user_are_one_command),
        rig_test(anybody_elses_is_in_its_way),
        rig_test(whoever_was_interrupted_hears_the_result_when_he_asks_again),
        rig_test(who_has_waited_long_enough_is_answered_and_it_goes_on),
        rig_test(right_after_a_failure_of_the_network_kms_is_not_asked),
        rig_test(a_success_ends_the_failures_of_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
