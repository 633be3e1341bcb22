/* What a mount does by itself goes out one after the other, at the pace, and only by a time that is beyond doubt. */
#include "fs/loop/loop.h"
#include "tests/unit/engine_rig.h"

enum { AAPS = 3 };

/* An engine whose AAPs have a key each; their rotations are far ahead. */
static void start(void)
{
    char name[8];
    strcpy(rig.config.defaults.on_rotate, "none");
    for (unsigned int i = 0; i < AAPS; i++) {
        snprintf(name, sizeof(name), "aap-%u", i);
        table_add(name);
    }
    rig_start();
    table_serve();
    for (unsigned int i = 0; i < AAPS; i++)
        rig_do(kms_table.aaps[i].name, RIG_PASSWORD);
}

/* When all of them are due. */
static int64_t last_due(void)
{
    int64_t last = 0;
    for (unsigned int i = 0; i < AAPS; i++)
        if (rig_aap(kms_table.aaps[i].name)->rotation.next > last)
            last = rig_aap(kms_table.aaps[i].name)->rotation.next;
    return last;
}

static unsigned int rotated(void)
{
    unsigned int count = 0;
    for (unsigned int i = 0; i < AAPS; i++)
        count += kms_table.aaps[i].creations > 1;
    return count;
}

static void at_the_pace(void **unused)
{
    start();
    rig.config.requests_per_second = 1;
    rig_jump_to(last_due() + 1);
    table_serve();
    for (unsigned int count = 1; count <= AAPS; count++) {
        assert_int_equal(rotated(), count);
        rig_pass(1000);
        table_serve();
    }
}

static void a_rotation_goes_before_a_deletion(void **unused)
{
    start();
    rig_stop(NULL);
    rig_save(&(struct rig_key){"aap-1", "KAAP.90", "2022-11-14T00:00:00Z", "2023-11-15T00:00:00Z", .made = RIG_BEGIN - 9});
    rig_start();
    table_serve();
    rig_jump_to(last_due() + 1); /* KAAP.90 has expired, too */
    table_serve_until(RIG_CREATE);
    rig_postpone();
    for (unsigned int i = 1; i < AAPS; i++) {
        assert_int_equal(rig_request()->operation, RIG_CREATE);
        rig_postpone();
    }
    table_serve_until(RIG_DELETE);
    rig_expect(RIG_DELETE, "KAAP.90");
}

static void a_rotation_goes_before_listings(void **unused)
{
    rig_save(&(struct rig_key){"aap-2", "KAAP.1", "2022-12-01T00:00:00Z", "2023-12-01T00:00:00Z", .made = RIG_BEGIN - 300 * RIG_DAY});
    rig.config.requests_per_second = 1;
    for (unsigned int i = 0; i < AAPS; i++)
        table_add((const char *[]){"aap-0", "aap-1", "aap-2"}[i]);
    table_make(table_find("aap-2"), "2022-12-01T00:00:00Z", "2023-12-01T00:00:00Z");
    rig_start();
    table_serve();
    rig_pass(1000);
    rig_expect(RIG_CREATE, "aap-2");
    table_serve();
    rig_pass(1000);
    assert_int_equal(rig_request()->operation, RIG_LIST_KEYS);
}

static void nothing_by_a_time_that_is_in_doubt(void **unused)
{
    start();
    rig.kms_ms = 300 * RIG_DAY * 1000; /* by which all of them would be due */
    rig_do(NULL, "sync");
    rig_pass(59 * 1000);
    table_serve();
    assert_int_equal(rotated(), 0);
    rig_pass(10 * 1000); /* KMS still says so */
    table_serve();
    assert_int_equal(rotated(), AAPS);
}

/* One answer tells a time that is so many days off; the next ones do not. */
static void doubt(int64_t days)
{
    rig.kms_ms = days * RIG_DAY * 1000;
    rig_write(NULL, "sync");
    table_answer(FAULT_NONE);
    rig_settle();
    rig.kms_ms = 0;
}

static void one_wrong_answer_is_nothing_to_go_by(void **unused)
{
    static const int64_t days[] = {3650, -3650};
    int64_t begins;
    start();
    rig_do("aap-0", RIG_PASSWORD); /* so that a key might be deleted, too */
    for (unsigned int i = 0; i < 2; i++) {
        doubt(days[i]);
        table_serve();
        assert_in_range(registry_mount(rig.registry)->clock_offset_ms + 1000, 0, 2000);
        rig_pass(600 * 1000);
        table_serve();
    }
    assert_int_equal(kms_table.last_id, AAPS + 1);
    assert_int_equal(table_count(table_find("aap-0")), 2);
    doubt(3650);
    rig_write("aap-0", RIG_PASSWORD); /* begins now, whatever comes of that */
    table_serve_until(RIG_CREATE);
    assert_int_equal(iso_time_parse(rig_request()->not_before, strlen(rig_request()->not_before), &begins), 0);
    assert_in_range(begins, rig.now_ms / 1000 - 3700, rig.now_ms / 1000);
}

static void what_comes_due_while_it_is_in_doubt_waits(void **unused)
{
    start();
    rig_jump_to(last_due() - 20);
    table_serve();
    assert_int_equal(rotated(), AAPS - 1);
    rig.kms_ms = 300 * RIG_DAY * 1000;
    rig_write(NULL, "sync");
    table_answer(FAULT_NONE);
    rig_pass(40 * 1000);
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    rig.kms_ms = 0;
    table_serve();
    assert_int_equal(rotated(), AAPS);
}

static void a_clock_that_was_set_changes_nothing(void **unused)
{
    start();
    rig.local_ms = INT64_C(1000) * RIG_DAY * 1000;
    rig_pass(60 * 1000);
    rig_expect_nothing();
    assert_int_equal(rig_aap("aap-0")->rotation.state, ROTATION_PLANNED);
    assert_int_equal(registry_mount(rig.registry)->clock_offset_ms, -rig.local_ms);
}

static void nothing_while_another_worker_is_to_take_over(void **unused)
{
    start();
    loop_drain(rig.engine, true);
    rig_settle();
    rig_jump_to(last_due() + 1);
    rig_expect_nothing();
    loop_drain(rig.engine, false);
    rig_settle();
    assert_int_equal(rig_request()->operation, RIG_CREATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(at_the_pace),
        rig_test(a_rotation_goes_before_a_deletion),
        rig_test(a_rotation_goes_before_listings),
        rig_test(nothing_by_a_time_that_is_in_doubt),
        rig_test(one_wrong_answer_is_nothing_to_go_by),
        rig_test(what_comes_due_while_it_is_in_doubt_waits),
        rig_test(a_clock_that_was_set_changes_nothing),
        rig_test(nothing_while_another_worker_is_to_take_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
