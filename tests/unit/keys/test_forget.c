/* `forget`: keys leave without having been deleted in KMS only where KMS itself says that their AAP is gone. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1. */
static void start(void)
{
    table_add("orders");
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
}

/* KMS is asked whether it has it. */
static uint64_t forget(void)
{
    uint64_t number = rig_write(NULL, "forget payments");
    rig_expect(RIG_DESCRIBE, "payments");
    return number;
}

static void assert_stays(uint64_t number, int result, const char *code)
{
    rig_assert_failed(number, NULL, result, code);
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_int_equal(rig_count_files("payments/KAAP.1"), 1);
}

static void one_that_kms_has_no_more_leaves_with_its_keys(void **unused)
{
    start();
    rig_write("payments", RIG_PASSWORD);
    rig_lose(); /* and what is not known of it */
    rig_refuse(EAGAIN, "Throttling.User", 429);
    uint64_t number = forget();
    rig_refuse(ENOENT, "Forbidden.AapNotFound", 404);
    assert_int_equal(rig_result(number), 0);
    assert_null(registry_find_aap(rig.registry, "payments"));
    assert_int_equal(rig_count_files("payments/"), 0);
    assert_int_equal(rig_count_files(".intent-"), 0);
    rig_stop(NULL);
    rig_start();
    assert_null(registry_find_aap(rig.registry, "payments"));
}

static void one_that_kms_has_stays(void **unused)
{
    start();
    uint64_t number = forget();
    rig_answer_aap(NULL);
    assert_stays(number, -EBUSY, "KmsHasIt");
}

static void where_kms_does_not_say_so_it_stays(void **unused)
{
    start();
    uint64_t number = forget();
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    assert_stays(number, -EACCES, "Forbidden.NoPermission");
    number = forget();
    rig_refuse(ENOENT, "Forbidden.InstanceNotFound", 404);
    assert_stays(number, -ENOENT, "Forbidden.InstanceNotFound");
}

static void another_accounts_kms_is_not_asked(void **unused)
{
    start();
    rig_stop(NULL);
    rig_start();
    uint64_t number = rig_write(NULL, "forget payments"); /* before KMS has told whose credentials these are */
    assert_stays(number, -EAGAIN, "AccountUnknown");
    table_serve_until(RIG_DESCRIBE);
    rig_refuse(EACCES, "Forbidden.NoPermission", 403); /* they are taken for ours */
    table_serve();
    number = forget();
    rig_refuse(ENOENT, "Forbidden.AapNotFound", 404); /* which another account's KMS would say as well */
    assert_stays(number, -EAGAIN, "AccountUnknown");
}

static void what_is_under_way_comes_first(void **unused)
{
    start();
    rig_write("payments", RIG_PASSWORD);
    assert_stays(rig_write(NULL, "forget payments"), -EBUSY, "Busy");
    rig_assert_failed(rig_write(NULL, "forget nobody"), NULL, -ENOENT, "UnknownAap");
    rig_expect(RIG_CREATE, "payments");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(one_that_kms_has_no_more_leaves_with_its_keys),
        rig_test(one_that_kms_has_stays),
        rig_test(where_kms_does_not_say_so_it_stays),
        rig_test(another_accounts_kms_is_not_asked),
        rig_test(what_is_under_way_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
