/* Requests that nobody waits for: so many a second, and no more after a pause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/engine/pace.h"

static struct pace pace;

/* How many go out at once at NOW_MS. */
static unsigned int burst(unsigned int per_second, int64_t now_ms)
{
    unsigned int count = 0;
    while (pace_take(&pace, per_second, now_ms))
        count++;
    return count;
}

static void a_seconds_worth_goes_at_once_and_then_one_at_a_time(void **unused)
{
    static const unsigned int rates[] = {1, 2, 10, 1000};
    for (unsigned int i = 0; i < 4; i++) {
        unsigned int rate = rates[i], gap_ms = 1000 / rate;
        int64_t now_ms = 5000000;
        pace = (struct pace){0};
        assert_int_equal(burst(rate, now_ms), rate);
        assert_int_equal(pace_next_ms(&pace, rate), now_ms + gap_ms);
        assert_false(pace_take(&pace, rate, now_ms + gap_ms - 1));
        for (int n = 0; n < 20; n++)
            assert_int_equal(burst(rate, now_ms += gap_ms), 1);
    }
}

static void a_pause_is_not_saved_up(void **unused)
{
    pace = (struct pace){0};
    burst(2, 1000);
    assert_int_equal(burst(2, 1000 + 3600 * 1000), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seconds_worth_goes_at_once_and_then_one_at_a_time),
        cmocka_unit_test(a_pause_is_not_saved_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
