/* The line for what was done to a client key: which AAP, the old key and the new one, until when, and by whom. */
#include "tests/unit/engine_rig.h"

/* Without a validity of its own, so that the dates are KMS's. */
static void start(void)
{
    rig.config.defaults.validity_seconds = 0;
    table_add("payments");
    rig_start();
    table_serve();
    rig_forget_log();
}

static void make(const char *command, pid_t pid, uid_t uid)
{
    rig_write_by("payments", command, pid, uid);
    rig_answer_key(registry_find_key(rig_aap("payments"), "KAAP.7") ? "KAAP.8" : "KAAP.7");
}

static void a_first_key_is_created_and_a_second_one_rotated_to(void **unused)
{
    start();
    make(RIG_PASSWORD, 11, 22);
    assert_true(rig_has_logged("payments: created KAAP.7, valid until 2024-11-14T22:13:20Z, by control (uid 22, pid 11)"));
    make("rotate", 11, 23);
    assert_true(rig_has_logged("payments: rotated from KAAP.7 to KAAP.8, valid until 2024-11-14T22:13:20Z, by control (uid 23, "
                               "pid 11), password_source = keep"));
}

static void what_is_done_by_itself_says_so(void **unused)
{
    start();
    make(RIG_PASSWORD, 1, 0);
    rig_jump_to(rig_aap("payments")->rotation.next + 1);
    rig_expect(RIG_CREATE, "payments");
    rig_answer_key("KAAP.8");
    assert_true(rig_has_logged("payments: rotated from KAAP.7 to KAAP.8, valid until "));
    assert_true(rig_has_logged(", by rotate_at, password_source = keep"));
}

static void one_that_is_to_begin_later_is_created(void **unused)
{
    start();
    make(RIG_PASSWORD, 1, 0);
    make(RIG_PASSWORD " 2024-01-01T00:00:00Z 2025-01-01T00:00:00Z", 1, 0);
    assert_true(rig_has_logged("payments: created KAAP.8, valid from 2024-01-01T00:00:00Z until 2025-01-01T00:00:00Z, by control"));
}

static void a_deletion_is_told(void **unused)
{
    start();
    make(RIG_PASSWORD, 1, 0);
    make(RIG_PASSWORD, 1, 0);
    rig_write_by("payments", "delete KAAP.7", 5, 6);
    rig_answer_well();
    assert_true(rig_has_logged("payments: deleted KAAP.7, by control (uid 6, pid 5)"));
}

static void of_what_changed_no_key_nothing_is_said(void **unused)
{
    start();
    rig_write("payments", RIG_PASSWORD);
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    rig_do(NULL, "sync");
    rig_do(NULL, "rotate-due");
    assert_false(rig_has_logged("payments"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(a_first_key_is_created_and_a_second_one_rotated_to),
        rig_test(what_is_done_by_itself_says_so),
        rig_test(one_that_is_to_begin_later_is_created),
        rig_test(a_deletion_is_told),
        rig_test(of_what_changed_no_key_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
