/* A listing that fails: what is said of it, and when it comes again. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1. */
static void start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
}

static void one_that_fails_is_repeated_at_growing_intervals(void **unused)
{
    start();
    rig_write(NULL, "sync");
    table_serve_until(RIG_LIST_KEYS);
    for (int64_t wait_ms = 5000; wait_ms <= 20000; wait_ms *= 2) {
        rig_lose();
        assert_string_equal(rig_aap("payments")->failure.error.operation, "ListClientKeys");
        assert_string_equal(rig_aap("payments")->failure.error.code, "Network.Reset");
        rig_pass(wait_ms - 1);
        rig_expect_nothing();
        rig_pass(1);
        rig_expect(RIG_LIST_KEYS, "payments");
    }
    table_serve();
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
}

static void one_that_a_due_rotation_waits_for_is_as_urgent(void **unused)
{
    start();
    rig_jump_to(rig_aap("payments")->current->not_after_time - 60);
    table_serve_until(RIG_CREATE);
    table_answer(FAULT_AFTER); /* what came of it only a listing tells */
    rig_settle();
    for (unsigned int i = 0; i < 5; i++) {
        rig_expect(RIG_LIST_KEYS, "payments");
        rig_lose();
        rig_pass(6000); /* a tenth of what the key has left, at most */
    }
    table_serve();
    assert_false(rig_shows("payments", "KAAP.1"));
}

static void where_it_is_forbidden_what_came_of_a_creation_cannot_be_told(void **unused)
{
    start();
    rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_CREATE, "payments");
    rig_lose();
    rig_expect(RIG_LIST_KEYS, "payments");
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    assert_true(rig_aap("payments")->cannot_settle);
    assert_true(rig_has_logged("cannot be found out, since ListClientKeys is not permitted"));
    rig_forget_log();
    rig_pass(5000);
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    assert_int_equal(rig_warnings(), 0); /* it was said */
    rig_pass(10000);
    rig_expect(RIG_LIST_KEYS, "payments");
    table_serve();
    assert_false(rig_aap("payments")->cannot_settle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(one_that_fails_is_repeated_at_growing_intervals),
        rig_test(one_that_a_due_rotation_waits_for_is_as_urgent),
        rig_test(where_it_is_forbidden_what_came_of_a_creation_cannot_be_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
