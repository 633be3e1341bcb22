/* The dates of a new key: never less than was asked for, never more than KMS gives, random to the second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/model/validity.h"
#include "kmsapi/iso_time.h"

enum { DAY = 86400, TRIES = 4096 };

static int64_t at(const char *text)
{
    int64_t seconds;
    if (iso_time_parse(text, strlen(text), &seconds) < 0)
        fail_msg("%s", text);
    return seconds;
}

/* Some pair of random numbers, the ends of both ranges among them. */
static void choose_random(unsigned int i, uint32_t random[static 2])
{
    static const uint32_t ends[] = {0, 3600, 86399, UINT32_MAX};
    random[0] = i < 16 ? ends[i % 4] : i * 2654435761u;
    random[1] = i < 16 ? ends[i / 4] : i * 40503u * 2246822519u;
}

struct bounds {
    int64_t first_begin, last_begin, first_end, last_end;
};

/* Every choice lies in the bounds; the outermost ones are returned. */
static struct bounds try_all(const char *now, const struct validity_length *length)
{
    struct bounds seen = {INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN};
    for (unsigned int i = 0; i < TRIES; i++) {
        uint32_t random[2];
        choose_random(i, random);
        struct validity chosen = validity_choose(at(now), length, random);
        seen.first_begin = chosen.not_before < seen.first_begin ? chosen.not_before : seen.first_begin;
        seen.last_begin = chosen.not_before > seen.last_begin ? chosen.not_before : seen.last_begin;
        seen.first_end = chosen.not_after < seen.first_end ? chosen.not_after : seen.first_end;
        seen.last_end = chosen.not_after > seen.last_end ? chosen.not_after : seen.last_end;
    }
    return seen;
}

static void below_five_years_what_was_asked_for_is_the_least(void **state)
{
    static const struct {
        const char *now;
        struct validity_length length;
        const char *least;
    } cases[] = {
        {"2026-11-24T03:46:30Z", {.years = 1}, "2027-11-24T03:46:30Z"},
        {"2027-03-01T00:00:00Z", {.years = 1}, "2028-03-01T00:00:00Z"}, /* 366 days */
        {"2028-02-29T00:30:00Z", {.years = 1}, "2029-03-01T00:30:00Z"},
        {"2028-02-29T23:59:59Z", {.years = 2}, "2030-03-01T23:59:59Z"},
        {"2026-12-31T23:59:59Z", {.years = 4}, "2030-12-31T23:59:59Z"},
        {"2026-11-24T03:46:30Z", {.seconds = 365 * DAY}, "2027-11-24T03:46:30Z"},
        {"2027-03-01T00:00:00Z", {.seconds = 365 * DAY}, "2028-02-29T00:00:00Z"},
        {"2026-11-24T00:00:00Z", {.seconds = 30 * DAY}, "2026-12-24T00:00:00Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t now = at(cases[i].now), end = at(cases[i].least);
        struct bounds seen = try_all(cases[i].now, &cases[i].length);
        assert_int_equal(seen.first_begin, now - 3660);
        assert_int_equal(seen.last_begin, now - 60);
        assert_int_equal(seen.first_end, end + 60);
        assert_in_range(seen.last_end, end + DAY - 3600, end + DAY - 1); /* not every second is tried */
    }
}

static void from_five_years_on_it_is_the_most(void **state)
{
    static const struct {
        const char *now;
        struct validity_length length;
        const char *most;
    } cases[] = {
        {"2026-11-24T03:46:30Z", {.years = 5}, "2031-11-24T03:46:30Z"},
        {"2028-02-29T12:00:00Z", {.years = 5}, "2033-02-28T12:00:00Z"},
        {"2028-03-01T00:10:00Z", {.years = 5}, "2033-03-01T00:10:00Z"},
        {"2026-11-24T03:46:30Z", {.seconds = 1826 * DAY}, "2031-11-24T03:46:30Z"},
        {"2026-11-24T03:46:30Z", {.years = 9}, "2035-11-24T03:46:30Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t most = at(cases[i].most);
        struct bounds seen = try_all(cases[i].now, &cases[i].length);
        assert_in_range(seen.first_end, most - DAY + 1, most - DAY + 3600); /* not every second is tried */
        assert_int_equal(seen.last_end, most - 60);
    }
}

/* Whether KMS counts its five years from NotBefore or from its clock: none is passed. */
static void five_years_after_the_beginning_is_never_passed(void **state)
{
    const struct validity_length lengths[] = {{.years = 5}, {.seconds = 5 * 365 * DAY}, {.years = 4}};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (unsigned int t = 0; t < TRIES; t++) {
            uint32_t random[2];
            choose_random(t, random);
            int64_t now = at("2026-11-24T03:46:30Z"), five = at("2031-11-24T03:46:30Z");
            struct validity chosen = validity_choose(now, &lengths[i], random);
            assert_true(chosen.not_after <= five - (now - chosen.not_before));
        }
}

static void below_thirty_days_both_spans_are_a_hundredth(void **state)
{
    static const int64_t lengths[] = {1, 99, 100, 4000, 6000, 10 * DAY, 30 * DAY - 1};
    int64_t now = at("2026-11-24T03:46:30Z");
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const struct validity_length length = {.seconds = lengths[i]};
        struct bounds seen = try_all("2026-11-24T03:46:30Z", &length);
        assert_true(now - seen.first_begin <= lengths[i] / 100);
        assert_int_equal(seen.first_end, now + lengths[i]);
        assert_true(seen.last_end <= now + lengths[i] + lengths[i] / 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(below_five_years_what_was_asked_for_is_the_least),
        cmocka_unit_test(from_five_years_on_it_is_the_most),
        cmocka_unit_test(five_years_after_the_beginning_is_never_passed),
        cmocka_unit_test(below_thirty_days_both_spans_are_a_hundredth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
