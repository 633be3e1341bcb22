/* Dates of any year as nanoseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/base/nanoseconds.h"

static void dates_that_nanoseconds_reach_are_exact(void **state)
{
    assert_true(nanoseconds(0) == 0);
    assert_true(nanoseconds(1700000000) == INT64_C(1700000000000000000));
    assert_true(nanoseconds(-1) == -1000000000);
    assert_true(nanoseconds(9223372036) == INT64_C(9223372036000000000));
}

static void later_ones_are_the_last_and_leave_room_for_one_more(void **state)
{
    static const int64_t year_9999 = 253402300799;
    assert_true(nanoseconds(9223372037) == nanoseconds(9223372036));
    assert_true(nanoseconds(year_9999) == nanoseconds(9223372036));
    assert_true(nanoseconds(INT64_MAX) == nanoseconds(9223372036));
    assert_true(nanoseconds(INT64_MAX) < INT64_MAX);
    assert_true(nanoseconds(INT64_MIN) == -nanoseconds(9223372036));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_that_nanoseconds_reach_are_exact),
        cmocka_unit_test(later_ones_are_the_last_and_leave_room_for_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
