/* A Scheduled key becomes the current one when it begins, and KMS has it then. */
#include "tests/unit/engine_rig.h"

#define BEGINS "2023-11-20T00:00:00Z"
static const int64_t begins = 1700438400;

/* An engine; PAYMENTS has KAAP.1 and, from BEGINS on, KAAP.2. */
static void start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD " " BEGINS " 2024-11-20T00:00:00Z");
    assert_true(rig_shows("payments", "KAAP.1"));
}

static void it_becomes_the_current_one_when_it_begins(void **unused)
{
    start();
    rig_jump_to(begins - 1);
    assert_true(rig_shows("payments", "KAAP.1"));
    rig_jump_to(begins + 1);
    assert_true(rig_shows("payments", "KAAP.2"));
    rig_expect_nothing();
    assert_true(rig_has_logged("payments: rotated from KAAP.1 to KAAP.2, valid until 2024-11-20T00:00:00Z, by its NotBefore\n"));
}

static void what_is_under_way_comes_first(void **unused)
{
    start();
    rig_jump_to(begins - 1);
    rig_write("payments", "delete KAAP.2");
    rig_expect(RIG_DELETE, "KAAP.2");
    rig_jump_to(begins + 1);
    assert_true(rig_shows("payments", "KAAP.1"));
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void one_that_kms_lost_before_never_begins(void **unused)
{
    start();
    table_find("payments")->keys[1].id = 0;
    rig_do(NULL, "sync");
    rig_jump_to(begins + 1);
    assert_true(rig_shows("payments", "KAAP.1"));
    rig_stop(NULL);
    rig_start(); /* nor for the next worker, whatever KMS answers that */
    assert_true(rig_shows("payments", "KAAP.1"));
}

static void one_that_has_begun_stays_when_the_clock_is_set_back(void **unused)
{
    start();
    rig_jump_to(begins + 1);
    rig_stop(NULL);
    rig.local_ms = -RIG_DAY * 1000;
    rig.first = true;
    rig_start();
    assert_true(rig_shows("payments", "KAAP.2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(it_becomes_the_current_one_when_it_begins),
        rig_test(what_is_under_way_comes_first),
        rig_test(one_that_kms_lost_before_never_begins),
        rig_test(one_that_has_begun_stays_when_the_clock_is_set_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
