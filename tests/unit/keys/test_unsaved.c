/* A key that could not be saved is served, and tried again until it is on the disk. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1, and KAAP.77 came when the disk was full. */
static uint64_t start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    uint64_t number = rig_write("payments", "Another1~");
    rig.disk_error = ENOSPC;
    rig_answer_key("KAAP.77");
    return number;
}

static bool is_unsaved(void)
{
    return registry_has_id(rig_aap("payments")->unsaved, "KAAP.77");
}

static unsigned int on_disk(void)
{
    return rig_count_files("payments/KAAP.77");
}

static void it_is_served_and_tried_again_until_it_is_saved(void **unused)
{
    rig_assert_failed(start(), "payments", -ENOSPC, "Unsaved");
    assert_true(rig_shows("payments", "KAAP.77"));
    assert_true(is_unsaved());
    rig_pass(5000);
    assert_true(is_unsaved());
    rig.disk_error = 0;
    rig_pass(30000 - 1);
    assert_true(is_unsaved());
    assert_int_equal(on_disk(), 0);
    rig_pass(1);
    assert_false(is_unsaved());
    assert_int_equal(on_disk(), 1);
    assert_int_equal(rig_count_files("payments/.KAAP.77.forms"), 1);
    assert_int_equal(rig_count_files(".intent-"), 0);
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
}

static void the_end_is_its_last_chance(void **unused)
{
    start();
    rig.disk_error = 0;
    rig_stop(NULL);
    assert_int_equal(on_disk(), 1);
    rig_start();
    assert_true(rig_shows("payments", "KAAP.77"));
}

static void what_is_lost_at_the_end_is_said_and_what_was_asked_for_stays_known(void **unused)
{
    start();
    rig_stop(NULL);
    assert_true(rig_has_logged("payments: the client key KAAP.77 could not be saved and is lost"));
    assert_int_equal(on_disk(), 0);
    assert_int_equal(rig_count_files(".intent-"), 1); /* by which KMS's listing tells that it is an orphan */
}

static void one_that_kms_has_no_more_is_not_saved(void **unused)
{
    start();
    rig.good_writes = 100;
    rig_do("payments", RIG_PASSWORD);
    rig.good_writes = 0;
    uint64_t number = rig_write("payments", "delete KAAP.77");
    rig_expect(RIG_DELETE, "KAAP.77");
    rig_answer_well();
    assert_int_equal(rig_result(number), 0);
    assert_false(is_unsaved());
    rig.disk_error = 0;
    rig_pass(60000);
    assert_int_equal(on_disk(), 0);
    assert_int_equal(rig_count_files(".intent-"), 0);
}

static void its_password_is_kept_like_a_saved_ones(void **unused)
{
    start();
    rig.disk_error = 0;
    rig_write("payments", "rotate");
    assert_string_equal(rig_expect(RIG_CREATE, "payments")->password, "Another1~");
}

static void no_other_worker_takes_over_before(void **unused)
{
    start();
    uint64_t number = rig_write(NULL, "upgrade");
    rig_assert_failed(number, NULL, -EBUSY, "Unsaved");
    assert_int_equal(rig.upgrades_asked, 0);
    rig.disk_error = 0;
    rig_pass(5000);
    rig_write(NULL, "upgrade");
    assert_int_equal(rig.upgrades_asked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(it_is_served_and_tried_again_until_it_is_saved),
        rig_test(the_end_is_its_last_chance),
        rig_test(what_is_lost_at_the_end_is_said_and_what_was_asked_for_stays_known),
        rig_test(one_that_kms_has_no_more_is_not_saved),
        rig_test(its_password_is_kept_like_a_saved_ones),
        rig_test(no_other_worker_takes_over_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
