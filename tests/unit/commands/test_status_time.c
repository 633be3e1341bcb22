/* Times as people say them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/commands/status/status_time.h"

static void times_are_said_in_the_unit_that_fits(void **state)
{
    static const struct {
        int64_t seconds;
        const char *relative, *left;
    } cases[] = {
        {0, "now", "0 s"},
        {1, "in 1 s", "1 s"},
        {59, "in 59 s", "59 s"},
        {60, "in 1 min", "1 min"},
        {3599, "in 59 min", "59 min"},
        {3600, "in 1 h", "1 h"},
        {47 * 3600 + 3599, "in 47 h", "47 h"},
        {48 * 3600, "in 2 d", "2 d"},
        {64 * 86400 + 5, "in 64 d", "64 d"},
        {729 * 86400, "in 729 d", "729 d"},
        {730 * 86400, "in 2 y", "2 y"},
        {-1, "1 s ago", "1 s ago"},
        {-125, "2 min ago", "2 min ago"},
        {-3 * 86400, "3 d ago", "3 d ago"},
        {INT64_MAX, "in 292471208677 y", "292471208677 y"},
        {INT64_MIN, "292471208677 y ago", "292471208677 y ago"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[STATUS_TIME_SIZE];
        status_time_relative(cases[i].seconds, text);
        assert_string_equal(text, cases[i].relative);
        status_time_left(cases[i].seconds, text);
        assert_string_equal(text, cases[i].left);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(times_are_said_in_the_unit_that_fits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
