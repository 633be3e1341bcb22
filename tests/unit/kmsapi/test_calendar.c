/* Calendar years: the same day and second of a later year, and what there is of February 29. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kmsapi/base/calendar.h"
#include "kmsapi/iso_time.h"

static const struct {
    const char *from;
    unsigned int years;
    const char *no_more, *no_less;
} cases[] = {
    {"2026-11-24T03:46:30Z", 1, "2027-11-24T03:46:30Z", "2027-11-24T03:46:30Z"},
    /* the two real keys of which the dates are known */
    {"2021-07-01T00:00:00Z", 5, "2026-07-01T00:00:00Z", "2026-07-01T00:00:00Z"},
    {"2024-07-12T23:59:59Z", 5, "2029-07-12T23:59:59Z", "2029-07-12T23:59:59Z"},
    /* a leap day between, before and at the end */
    {"2027-03-01T00:00:00Z", 1, "2028-03-01T00:00:00Z", "2028-03-01T00:00:00Z"},
    {"2027-02-28T23:59:59Z", 1, "2028-02-28T23:59:59Z", "2028-02-28T23:59:59Z"},
    {"2028-02-28T12:00:00Z", 1, "2029-02-28T12:00:00Z", "2029-02-28T12:00:00Z"},
    {"2028-02-29T12:00:00Z", 1, "2029-02-28T12:00:00Z", "2029-03-01T12:00:00Z"},
    {"2028-02-29T00:00:00Z", 4, "2032-02-29T00:00:00Z", "2032-02-29T00:00:00Z"},
    {"2028-02-29T23:59:59Z", 5, "2033-02-28T23:59:59Z", "2033-03-01T23:59:59Z"},
    {"2096-02-29T00:00:00Z", 4, "2100-02-28T00:00:00Z", "2100-03-01T00:00:00Z"},
    {"2026-12-31T23:59:59Z", 2, "2028-12-31T23:59:59Z", "2028-12-31T23:59:59Z"},
    {"2026-01-31T00:00:00Z", 0, "2026-01-31T00:00:00Z", "2026-01-31T00:00:00Z"},
    {"1970-01-01T00:00:00Z", 100, "2070-01-01T00:00:00Z", "2070-01-01T00:00:00Z"},
};

static void check(const char *from, unsigned int years, enum calendar_leap_day leap_day,
                  const char *expected)
{
    int64_t seconds;
    char text[ISO_TIME_SIZE];
    assert_int_equal(iso_time_parse(from, strlen(from), &seconds), 0);
    assert_int_equal(iso_time_format(calendar_add_years(seconds, years, leap_day), text), 0);
    assert_string_equal(text, expected);
}

static void years_end_on_the_same_day(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(cases[i].from, cases[i].years, LEAP_DAY_TO_FEBRUARY_28, cases[i].no_more);
        check(cases[i].from, cases[i].years, LEAP_DAY_TO_MARCH_1, cases[i].no_less);
    }
}

static void the_calendar_s_end_is_later_than_everything(void **state)
{
    assert_true(calendar_add_years(INT64_MAX, 1, LEAP_DAY_TO_MARCH_1) == INT64_MAX);
    assert_true(calendar_add_years(0, UINT32_MAX, LEAP_DAY_TO_MARCH_1) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(years_end_on_the_same_day),
        cmocka_unit_test(the_calendar_s_end_is_later_than_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
