/* How an endpoint's requests slow down, and recover. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kmsapi/base/throttle.h"

static void nothing_is_held_back_before_a_refusal(void **state)
{
    struct throttle throttle = {0};
    for (int64_t now = 1000; now < 1100; now++) {
        throttle_take(&throttle, now);
        assert_int_equal(throttle_next_ms(&throttle, now), now);
    }
}

static void refusals_of_requests_that_were_under_way_together_count_once(void **state)
{
    struct throttle throttle = {0};
    for (int i = 0; i < 20; i++)
        throttle_refused(&throttle, 1000, 0, 1010 + i);
    assert_int_equal(throttle.interval_ms, 50);
    assert_int_equal(throttle_next_ms(&throttle, 1030), 1060);
}

static void the_interval_doubles_up_to_its_limit(void **state)
{
    struct throttle throttle = {0};
    int64_t now = 1000;
    for (int i = 0; i < 20; i++) {
        throttle_refused(&throttle, now, 0, now + 1);
        now = throttle_next_ms(&throttle, now + 1);
        throttle_take(&throttle, now);
    }
    assert_int_equal(throttle.interval_ms, 2000);
    assert_int_equal(throttle_next_ms(&throttle, now), now + 2000);
}

static void answers_bring_the_pace_back(void **state)
{
    struct throttle throttle = {0};
    int64_t now = 1000;
    unsigned int answers = 0;
    for (int i = 0; i < 10; i++, now += 5000)
        throttle_refused(&throttle, now, 0, now + 1);
    while (throttle.interval_ms && answers < 100) {
        throttle_answered(&throttle);
        answers++;
    }
    assert_in_range(answers, 5, 25);
    throttle_take(&throttle, now);
    assert_int_equal(throttle_next_ms(&throttle, now), now);
}

/* Whatever came back meanwhile: KMS has said it. */
static void nothing_goes_before_kms_asked_for(void **state)
{
    struct throttle throttle = {0};
    throttle_refused(&throttle, 1000, 700, 1010);
    throttle_refused(&throttle, 1000, 200, 1020); /* was under way too, and is told less */
    for (int i = 0; i < 10; i++)
        throttle_answered(&throttle);
    assert_int_equal(throttle.interval_ms, 0);
    assert_int_equal(throttle_next_ms(&throttle, 1030), 1710);
    assert_false(throttle_is_open(&throttle, 1709));
    assert_true(throttle_is_open(&throttle, 1710));
    assert_int_equal(throttle_next_ms(&throttle, 1710), 1710);
}

static void what_kms_asks_for_is_bounded(void **state)
{
    struct throttle throttle = {0};
    throttle_refused(&throttle, 1000, INT64_MAX, 1010);
    assert_int_equal(throttle_next_ms(&throttle, 1010), 11010);
    throttle = (struct throttle){0};
    throttle_refused(&throttle, 1000, 10, 1010); /* less than the pace is anyway */
    assert_int_equal(throttle_next_ms(&throttle, 1010), 1060);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_held_back_before_a_refusal),
        cmocka_unit_test(refusals_of_requests_that_were_under_way_together_count_once),
        cmocka_unit_test(the_interval_doubles_up_to_its_limit),
        cmocka_unit_test(answers_bring_the_pace_back),
        cmocka_unit_test(nothing_goes_before_kms_asked_for),
        cmocka_unit_test(what_kms_asks_for_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
