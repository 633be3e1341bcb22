/* Superseded keys are deleted by themselves as delete_superseded says, and no others. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1, superseded, and KAAP.2. */
static void start(void)
{
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD);
}

static int64_t end_of(const char *id)
{
    return registry_find_key(rig_aap("payments"), id)->not_after_time;
}

static void an_expired_one_goes(void **unused)
{
    start();
    rig_jump_to(end_of("KAAP.1") - 1);
    rig_expect_nothing();
    rig_jump_to(end_of("KAAP.1") + 1);
    rig_expect(RIG_DELETE, "KAAP.1");
    table_serve();
    assert_null(registry_find_key(rig_aap("payments"), "KAAP.1"));
    assert_true(rig_has_logged("payments: deleted KAAP.1, by delete_superseded"));
    rig_jump_to(end_of("KAAP.2") + 1);
    rig_expect_nothing(); /* it is the current one */
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void where_it_says_so_one_goes_some_time_after_nobody_uses_it(void **unused)
{
    rig.config.defaults.delete_superseded = DELETE_AFTER;
    rig.config.defaults.delete_after_seconds = 3600;
    start();
    rig_jump(2 * 3600 * 1000);
    rig_expect_nothing(); /* it may be in use */
    rig_do("payments", "reloaded");
    rig_jump(3600 * 1000 - 1000);
    rig_expect_nothing();
    rig_jump(2000);
    rig_expect(RIG_DELETE, "KAAP.1");
}

static void applications_that_follow_need_not_be_told(void **unused)
{
    rig.config.defaults.delete_superseded = DELETE_AFTER;
    rig.config.defaults.delete_after_seconds = 3600;
    strcpy(rig.config.defaults.on_rotate, "none");
    start();
    rig_jump(3600 * 1000 - 1000);
    rig_expect_nothing();
    rig_jump(2000);
    rig_expect(RIG_DELETE, "KAAP.1");
}

static void where_it_says_never_none_goes(void **unused)
{
    rig.config.defaults.delete_superseded = DELETE_NEVER;
    start();
    rig_jump_to(end_of("KAAP.1") + RIG_DAY);
    rig_expect_nothing();
}

static void an_adopted_one_stays(void **unused)
{
    rig_save(&(struct rig_key){"payments", "KAAP.7", "2022-11-01T00:00:00Z", "2023-11-20T00:00:00Z",
                               .made = RIG_BEGIN - RIG_DAY, .adopted = true});
    rig_save(&(struct rig_key){"payments", "KAAP.8", "2022-11-01T00:00:00Z", "2023-11-20T00:00:00Z",
                               .made = RIG_BEGIN - RIG_DAY + 1});
    start();
    rig_jump(10 * RIG_DAY * 1000);
    rig_expect(RIG_DELETE, "KAAP.8");
    table_serve();
    rig_expect_nothing();
    assert_non_null(registry_find_key(rig_aap("payments"), "KAAP.7"));
    assert_int_equal(rig_aap("payments")->failure.error.number, 0); /* nor was it tried */
}

static void one_that_cannot_be_deleted_is_tried_again_at_growing_intervals(void **unused)
{
    start();
    rig_jump_to(end_of("KAAP.1") + 1);
    for (int64_t wait_ms = 1000; wait_ms <= 4000; wait_ms *= 2) {
        rig_expect(RIG_DELETE, "KAAP.1");
        rig_refuse(EACCES, "Forbidden.NoPermission", 403);
        rig_pass(wait_ms - 1);
        rig_expect_nothing();
        rig_pass(1);
    }
    table_serve();
    assert_null(registry_find_key(rig_aap("payments"), "KAAP.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(an_expired_one_goes),
        rig_test(where_it_says_so_one_goes_some_time_after_nobody_uses_it),
        rig_test(applications_that_follow_need_not_be_told),
        rig_test(where_it_says_never_none_goes),
        rig_test(an_adopted_one_stays),
        rig_test(one_that_cannot_be_deleted_is_tried_again_at_growing_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
