/* Up to which key the applications were told, and what of that a worker finds that starts later. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1. */
static void start(void)
{
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
}

static void restart(void)
{
    rig_stop(NULL);
    rig.first = true;
    rig_start();
}

static const char *told(void)
{
    return rig_aap("payments")->notified.client_key_id;
}

static bool is_in_use(void)
{
    return rig_aap("payments")->in_use_until;
}

static void who_starts_with_the_first_key_has_it(void **unused)
{
    start();
    assert_string_equal(told(), "KAAP.1");
    rig_do("payments", RIG_PASSWORD);
    assert_string_equal(told(), "KAAP.1");
    assert_int_equal(rig_aap("payments")->in_use_until, registry_find_key(rig_aap("payments"), "KAAP.1")->not_after_time);
    restart();
    assert_string_equal(told(), "KAAP.1");
    assert_true(is_in_use());
}

static void a_command_that_ends_well_has_told_them(void **unused)
{
    strcpy(rig.config.defaults.on_rotate, "reload");
    start();
    rig_do("payments", RIG_PASSWORD);
    assert_string_equal(rig.runs[0].client_key_id, "KAAP.2");
    rig_end_run(RUN_EXITED, 1);
    assert_string_equal(told(), "KAAP.1");
    rig_do("payments", RIG_PASSWORD);
    rig_end_run(RUN_EXITED, 0);
    assert_string_equal(told(), "KAAP.3");
    assert_false(is_in_use());
    restart();
    assert_string_equal(told(), "KAAP.3");
    assert_string_equal(rig_aap("payments")->last_hook.text, "ok");
    assert_int_equal(rig.runs_begun, 0);
}

static void a_command_that_was_not_seen_to_end_well_is_run_by_the_next_mount(void **unused)
{
    strcpy(rig.config.defaults.on_rotate, "reload");
    start();
    rig_do("payments", RIG_PASSWORD);
    rig_stop(NULL);
    memset(numbers_aap(rig.numbers, 1), 0, sizeof(struct numbered_aap)); /* another mount's memory */
    strcpy(numbers_aap(rig.numbers, 1)->name, "payments");
    rig.first = true;
    rig_start();
    assert_int_equal(rig.runs_begun, 1);
    assert_string_equal(rig.runs[0].client_key_id, "KAAP.2");
}

static void a_person_may_say_so(void **unused)
{
    start();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", "reloaded");
    assert_string_equal(told(), "KAAP.2");
    assert_false(is_in_use());
    restart();
    assert_string_equal(told(), "KAAP.2");
}

static void applications_that_follow_always_have_the_current_one(void **unused)
{
    strcpy(rig.config.defaults.on_rotate, "none");
    start();
    rig_do("payments", RIG_PASSWORD);
    assert_string_equal(told(), "KAAP.2");
    assert_false(is_in_use());
}

static void without_a_note_nobody_was_told(void **unused)
{
    start();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", "reloaded");
    rig_stop(NULL);
    rig_damage_file("payments/.told");
    rig.first = true;
    rig_start();
    assert_string_equal(told(), "");
    assert_true(is_in_use()); /* the newest of the others */
}

static void what_kms_lost_is_known_to_the_next_worker(void **unused)
{
    start();
    rig_do("payments", RIG_PASSWORD);
    table_find("payments")->keys[0].id = 0;
    rig_do(NULL, "sync");
    table_find("payments")->gone = true;
    table_add("orders");
    rig_do(NULL, "sync");
    restart();
    assert_true(registry_find_key(rig_aap("payments"), "KAAP.1")->gone);
    assert_false(registry_find_key(rig_aap("payments"), "KAAP.2")->gone);
    assert_true(rig_aap("payments")->gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(who_starts_with_the_first_key_has_it),
        rig_test(a_command_that_ends_well_has_told_them),
        rig_test(a_command_that_was_not_seen_to_end_well_is_run_by_the_next_mount),
        rig_test(a_person_may_say_so),
        rig_test(applications_that_follow_always_have_the_current_one),
        rig_test(without_a_note_nobody_was_told),
        rig_test(what_kms_lost_is_known_to_the_next_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
