/* KMS's time, from the local clock, the time since the boot and the Date headers of answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/engine/kms_clock.h"

enum { HOUR_MS = 3600 * 1000 };

static const int64_t now = INT64_C(1700000000), now_ms = INT64_C(1700000000000), boot_ms = 5000;

/* An answer came within 10 ms; its Date is LATER seconds ahead of the local clock. */
static struct kms_clock learned(int64_t later)
{
    struct kms_clock clock = {0};
    clock_follow(&clock, now_ms, boot_ms);
    clock_observe(&clock, now + later, now_ms, now_ms + 10, boot_ms);
    return clock;
}

static void the_offset_moves_only_as_far_as_a_header_proves(void **state)
{
    struct kms_clock clock = learned(0);
    assert_int_equal(clock.offset_ms, 0);
    clock = learned(100);
    assert_int_equal(clock.offset_ms, 100 * 1000 - 10);
    clock = learned(-100);
    assert_int_equal(clock.offset_ms, -100 * 1000 + 999);
    clock_observe(&clock, 0, now_ms, now_ms + 10, boot_ms); /* no header */
    clock_observe(&clock, now, now_ms, now_ms - 1, boot_ms); /* set back meanwhile */
    assert_int_equal(clock.offset_ms, -100 * 1000 + 999);
}

static void a_step_of_the_local_clock_is_none_of_kms_s(void **state)
{
    static const int64_t steps_ms[] = {24 * HOUR_MS, -24 * HOUR_MS, 600, -600};
    for (unsigned int i = 0; i < sizeof(steps_ms) / sizeof(steps_ms[0]); i++) {
        struct kms_clock clock = learned(100);
        int64_t expected = clock_kms_time(&clock, now_ms + 1000, boot_ms + 1000);
        assert_in_range(expected, now + 100, now + 101);
        /* before the step was followed as well as after it */
        assert_int_equal(clock_kms_time(&clock, now_ms + 1000 + steps_ms[i], boot_ms + 1000), expected);
        assert_true(clock_follow(&clock, now_ms + 1000 + steps_ms[i], boot_ms + 1000));
        assert_int_equal(clock_kms_time(&clock, now_ms + 1000 + steps_ms[i], boot_ms + 1000), expected);
    }
}

static void while_kms_has_not_answered_the_local_clock_counts(void **state)
{
    struct kms_clock clock = {0};
    assert_false(clock_follow(&clock, now_ms, boot_ms));
    assert_int_equal(clock_kms_time(&clock, now_ms + HOUR_MS, boot_ms), now + 3600);
    assert_false(clock_follow(&clock, now_ms + HOUR_MS, boot_ms));
    assert_int_equal(clock_kms_time(&clock, now_ms + HOUR_MS, boot_ms), now + 3600);
}

static void what_the_clocks_drift_apart_is_no_step(void **state)
{
    struct kms_clock clock = learned(100);
    assert_false(clock_follow(&clock, now_ms + HOUR_MS + 400, boot_ms + HOUR_MS));
    assert_int_equal(clock.offset_ms, 100 * 1000 - 10);
}

/* An answer AFTER_S later, whose Date is LATER seconds ahead of the local clock. */
static void hear(struct kms_clock *clock, int64_t after_s, int64_t later)
{
    int64_t at_ms = now_ms + after_s * 1000;
    clock_observe(clock, now + after_s + later, at_ms, at_ms + 10, boot_ms + after_s * 1000);
}

static void one_answer_of_another_time_is_not_believed(void **state)
{
    static const int64_t wrong[] = {10 * 365 * 86400, -3600, 301};
    for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct kms_clock clock = learned(100);
        assert_true(clock_is_sure(&clock));
        hear(&clock, 1, 100 + wrong[i]);
        assert_false(clock_is_sure(&clock));
        assert_int_equal(clock_settles_ms(&clock), boot_ms + 61 * 1000);
        hear(&clock, 2, 100 + wrong[i]); /* from the same machine, at once */
        assert_false(clock_is_sure(&clock));
        assert_in_range(clock_kms_time(&clock, now_ms, boot_ms), now + 99, now + 100);
        hear(&clock, 100, 100);
        assert_true(clock_is_sure(&clock));
        assert_int_equal(clock_settles_ms(&clock), 0);
        assert_in_range(clock_kms_time(&clock, now_ms, boot_ms), now + 99, now + 100);
    }
}

static void answers_that_say_the_same_for_a_minute_are_believed(void **state)
{
    struct kms_clock clock = learned(100);
    hear(&clock, 10, 86400);
    hear(&clock, 69, 86400 + 5);
    assert_false(clock_is_sure(&clock));
    hear(&clock, 71, 86400 + 5);
    assert_true(clock_is_sure(&clock));
    assert_in_range(clock_kms_time(&clock, now_ms, boot_ms), now + 86400, now + 86400 + 5);
    /* not when they contradict each other */
    hear(&clock, 100, 0);
    hear(&clock, 130, 1000);
    hear(&clock, 161, 0);
    hear(&clock, 191, 1000);
    assert_false(clock_is_sure(&clock));
}

static void the_first_answer_is_believed_and_proven_later(void **state)
{
    struct kms_clock clock = learned(86400);
    assert_false(clock_is_sure(&clock));
    assert_in_range(clock_kms_time(&clock, now_ms, boot_ms), now + 86399, now + 86400);
    hear(&clock, 61, 86400);
    assert_true(clock_is_sure(&clock));
    /* the next says what the local clock says: the first one was wrong */
    clock = learned(86400);
    hear(&clock, 1, 0);
    assert_true(clock_is_sure(&clock));
    assert_in_range(clock_kms_time(&clock, now_ms, boot_ms), now - 1, now);
}

static void the_local_clock_settles_only_the_first_doubt(void **state)
{
    struct kms_clock clock = learned(86400);
    hear(&clock, 61, 86400);
    hear(&clock, 100, 10 * 86400);
    hear(&clock, 101, 0); /* the second wrong one, though it is what the local clock says */
    assert_false(clock_is_sure(&clock));
    assert_in_range(clock_kms_time(&clock, now_ms, boot_ms), now + 86399, now + 86400);
}

static void a_step_of_the_local_clock_settles_no_doubt(void **state)
{
    struct kms_clock clock = learned(0);
    hear(&clock, 10, 86400);
    assert_true(clock_follow(&clock, now_ms + 86400 * 1000, boot_ms));
    assert_false(clock_is_sure(&clock));
    /* KMS's time, told by the clock that was set a day ahead */
    clock_observe(&clock, now + 20, now_ms + 86420 * 1000, now_ms + 86420 * 1000, boot_ms + 20 * 1000);
    assert_true(clock_is_sure(&clock));
    assert_in_range(clock_kms_time(&clock, now_ms + 86420 * 1000, boot_ms + 20 * 1000), now + 19, now + 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_offset_moves_only_as_far_as_a_header_proves),
        cmocka_unit_test(a_step_of_the_local_clock_is_none_of_kms_s),
        cmocka_unit_test(while_kms_has_not_answered_the_local_clock_counts),
        cmocka_unit_test(what_the_clocks_drift_apart_is_no_step),
        cmocka_unit_test(one_answer_of_another_time_is_not_believed),
        cmocka_unit_test(answers_that_say_the_same_for_a_minute_are_believed),
        cmocka_unit_test(the_first_answer_is_believed_and_proven_later),
        cmocka_unit_test(the_local_clock_settles_only_the_first_doubt),
        cmocka_unit_test(a_step_of_the_local_clock_settles_no_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
