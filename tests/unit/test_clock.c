/* KMS's time, from the local clock, the time since the boot and the Date headers of answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/keys/clock.h"

enum { HOUR_MS = 3600 * 1000 };

static const int64_t now = INT64_C(1700000000), now_ms = INT64_C(1700000000000), boot_ms = 5000;

/* An answer came within 10 ms; its Date is LATER seconds ahead of the local clock. */
static struct kms_clock learned(int64_t later)
{
    struct kms_clock clock = {0};
    clock_follow(&clock, now_ms, boot_ms);
    clock_observe(&clock, now + later, now_ms, now_ms + 10);
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
    clock_observe(&clock, 0, now_ms, now_ms + 10); /* no header */
    clock_observe(&clock, now, now_ms, now_ms - 1); /* set back meanwhile */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_offset_moves_only_as_far_as_a_header_proves),
        cmocka_unit_test(a_step_of_the_local_clock_is_none_of_kms_s),
        cmocka_unit_test(while_kms_has_not_answered_the_local_clock_counts),
        cmocka_unit_test(what_the_clocks_drift_apart_is_no_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
