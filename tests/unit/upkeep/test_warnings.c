/* What ends and nobody sees to by itself is said 180, 90, 30 and 7 days before, and when it has ended: each once. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1, which ends then. */
static void start(const char *not_after)
{
    rig_save(&(struct rig_key){"payments", "KAAP.1", "2023-11-14T00:00:00Z", not_after});
    table_make(table_add("payments"), "2023-11-14T00:00:00Z", not_after);
    rig_start();
    table_serve();
}

static void each_step_is_said_once(void **unused)
{
    static const int64_t days[] = {180, 90, 30, 7}, end = 1731628800;
    char text[64];
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    start("2024-11-15T00:00:00Z");
    for (unsigned int i = 0; i < 4; i++) {
        rig_jump_to(end - days[i] * RIG_DAY - 1);
        assert_false(rig_has_logged("payments: the client key"));
        rig_jump(1500);
        snprintf(text, sizeof(text), "in %lld days, and nothing will replace it by itself", (long long)days[i]);
        assert_true(rig_has_logged(text));
        rig_forget_log();
    }
    rig_jump_to(end + 1);
    assert_true(rig_has_logged("payments: the client key KAAP.1 has expired at 2024-11-15T00:00:00Z"));
    rig_forget_log();
    rig_jump(400 * RIG_DAY * 1000);
    assert_false(rig_has_logged("payments: the client key"));
}

static void what_was_passed_while_nobody_looked_is_said_as_one(void **unused)
{
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    start("2024-11-15T00:00:00Z");
    rig_jump_to(INT64_C(1731628800) - 20 * RIG_DAY);
    assert_true(rig_has_logged("in 20 days"));
    rig_forget_log();
    rig_jump(12 * RIG_DAY * 1000);
    assert_false(rig_has_logged("payments: the client key"));
}

static void a_step_that_is_further_from_the_end_than_the_key_ever_was_is_none(void **unused)
{
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    start("2024-02-22T00:00:00Z"); /* 100 days */
    rig_jump(9 * RIG_DAY * 1000);
    assert_false(rig_has_logged("payments: the client key"));
    rig_jump(2 * RIG_DAY * 1000);
    assert_true(rig_has_logged("in 88 days"));
}

static void a_machines_wrong_clock_says_nothing(void **unused)
{
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    rig.local_ms = 3 * 365 * RIG_DAY * 1000;
    start("2024-11-10T00:00:00Z");
    rig_pass(60 * 1000);
    assert_false(rig_has_logged("has expired"));
}

static void where_a_rotation_comes_nothing_is_said(void **unused)
{
    start("2024-05-15T00:00:00Z");
    rig_jump(100 * RIG_DAY * 1000); /* 83 days are left */
    assert_false(rig_has_logged("payments: the client key"));
}

static void a_superseded_one_that_may_be_in_use_is_said(void **unused)
{
    rig.config.defaults.rotate_at_percent = 99;
    start("2024-01-14T00:00:00Z");
    rig_do("payments", RIG_PASSWORD);
    rig_jump(33 * RIG_DAY * 1000);
    assert_true(rig_has_logged("payments: applications may still use the superseded client key KAAP.1"));
    assert_true(rig_has_logged("in 27 days: restart or reload them, then write reloaded to payments/control"));
}

static void before_kms_has_told_its_time_a_while_is_waited(void **unused)
{
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    rig_save(&(struct rig_key){"payments", "KAAP.1", "2022-11-14T00:00:00Z", "2023-11-14T00:00:00Z"});
    rig_start();
    rig_pass(10 * 60 * 1000 - 1000);
    assert_false(rig_has_logged("KAAP.1 has expired"));
    rig_pass(2000);
    assert_true(rig_has_logged("KAAP.1 has expired"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(each_step_is_said_once),
        rig_test(what_was_passed_while_nobody_looked_is_said_as_one),
        rig_test(a_step_that_is_further_from_the_end_than_the_key_ever_was_is_none),
        rig_test(a_machines_wrong_clock_says_nothing),
        rig_test(where_a_rotation_comes_nothing_is_said),
        rig_test(a_superseded_one_that_may_be_in_use_is_said),
        rig_test(before_kms_has_told_its_time_a_while_is_waited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
