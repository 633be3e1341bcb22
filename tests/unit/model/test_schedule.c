/* When keys are replaced, when a failed attempt is made again, and which key is the current one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fs/model/schedule.h"

enum { DAY = 86400, BEGIN = 1700000000 };

static struct config config;
static struct registry_key key;
static struct registry_aap aap;

static int begin(void **state)
{
    config_defaults(&config);
    key = (struct registry_key){.not_before_time = BEGIN, .not_after_time = BEGIN + 100 * DAY,
                                .made_ns = BEGIN * INT64_C(1000000000), .asked = BEGIN};
    aap = (struct registry_aap){.config = &config.defaults, .keys = &key, .current = &key};
    return 0;
}

static void a_share_of_the_validity_minus_the_jitter(void **state)
{
    assert_int_equal(schedule_rotate_at(&aap), BEGIN + 66 * DAY);
    assert_int_equal(schedule_due(&aap, 0), BEGIN + 66 * DAY);
    assert_int_equal(schedule_due(&aap, UINT32_C(1) << 31), BEGIN + 63 * DAY);
    assert_in_range(schedule_due(&aap, UINT32_MAX), BEGIN + 60 * DAY, BEGIN + 60 * DAY + 1);
}

static void a_time_before_the_end(void **state)
{
    config.defaults.rotate_at = ROTATE_BEFORE_END;
    config.defaults.rotate_before_seconds = 30 * DAY;
    assert_int_equal(schedule_due(&aap, 0), BEGIN + 70 * DAY);
    /* longer than the key's whole validity: not at once, or it would never end */
    config.defaults.rotate_before_seconds = 365 * DAY;
    assert_int_equal(schedule_rotate_at(&aap), BEGIN + 10 * DAY);
    assert_in_range(schedule_due(&aap, UINT32_MAX), BEGIN + 5 * DAY, BEGIN + 5 * DAY + 1);
}

static void an_early_share_leaves_half_of_it(void **state)
{
    config.defaults.rotate_at_percent = 1;
    assert_in_range(schedule_due(&aap, UINT32_MAX), BEGIN + DAY / 2, BEGIN + DAY / 2 + 1);
}

static void never(void **state)
{
    config.defaults.rotate_at = ROTATE_NEVER;
    assert_int_equal(schedule_due(&aap, 5), 0);
    config.defaults.rotate_at = ROTATE_AT_PERCENT;
    aap.gone = true;
    assert_int_equal(schedule_due(&aap, 5), 0);
    aap.gone = false;
    key.gone = true;
    assert_int_equal(schedule_due(&aap, 5), 0);
    aap.current = NULL;
    assert_int_equal(schedule_due(&aap, 5), 0);
}

static void an_adopted_one_rests_for_a_day(void **state)
{
    key.adopted = true;
    assert_int_equal(schedule_due(&aap, 0), BEGIN + 66 * DAY);
    key.made_ns = (BEGIN + 90 * DAY) * INT64_C(1000000000);
    assert_int_equal(schedule_due(&aap, 0), BEGIN + 91 * DAY);
    assert_int_equal(schedule_due(&aap, UINT32_MAX), BEGIN + 91 * DAY);
}

static void dates_of_nonsense_do_no_harm(void **state)
{
    static const int64_t dates[][2] = {
        {BEGIN, BEGIN}, {BEGIN, BEGIN - DAY}, {-62135596800, 253402300799}, {BEGIN, BEGIN + 1}};
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        key.not_before_time = dates[i][0];
        key.not_after_time = dates[i][1];
        for (uint32_t seed = 0; seed < 4; seed++)
            assert_true(schedule_due(&aap, seed * 0x55555555u) <= schedule_rotate_at(&aap));
    }
}

static void a_seed_is_the_keys_own_and_seeds_are_spread(void **state)
{
    unsigned int quarters[4] = {0};
    assert_int_equal(schedule_seed("payments", "KAAP.1"), schedule_seed("payments", "KAAP.1"));
    assert_int_not_equal(schedule_seed("payments", "KAAP.1"), schedule_seed("payments", "KAAP.2"));
    assert_int_not_equal(schedule_seed("payments", "KAAP.1"), schedule_seed("payment", "sKAAP.1"));
    for (unsigned int i = 0; i < 400; i++) {
        char id[32];
        snprintf(id, sizeof(id), "KAAP.%u", i);
        quarters[schedule_seed("payments", id) >> 30]++;
    }
    for (unsigned int i = 0; i < 4; i++)
        assert_in_range(quarters[i], 60, 140);
}

static void attempts_come_further_apart_and_nearer_to_the_end_faster(void **state)
{
    assert_int_equal(schedule_retry_ms(1, 100 * DAY, 0), 1000);
    assert_int_equal(schedule_retry_ms(2, 100 * DAY, 0), 2000);
    assert_int_equal(schedule_retry_ms(5, 100 * DAY, 0), 16000);
    assert_int_equal(schedule_retry_ms(30, 100 * DAY, 0), 3600 * 1000);
    assert_int_equal(schedule_retry_ms(UINT32_MAX, 100 * DAY, 0), 3600 * 1000);
    assert_int_equal(schedule_retry_ms(30, 3000, 0), 300 * 1000);
    assert_int_equal(schedule_retry_ms(30, 5, 0), 1000);
    assert_int_equal(schedule_retry_ms(30, 0, 0), 60 * 1000);
    assert_int_equal(schedule_retry_ms(30, -DAY, 0), 60 * 1000);
    assert_int_equal(schedule_retry_ms(1, -DAY, 0), 1000);
    assert_in_range(schedule_retry_ms(30, 100 * DAY, UINT32_MAX), 2700 * 1000, 2700 * 1000 + 1);
}

static void the_newest_that_has_begun_is_the_current_one(void **state)
{
    struct registry_key second = {.asked = BEGIN + 1, .scheduled = true, .not_before_time = BEGIN + 100, .next = &key};
    struct registry_key third = {.asked = BEGIN + 2, .scheduled = true, .not_before_time = BEGIN + 50, .next = &second};
    aap.keys = &third;
    assert_ptr_equal(schedule_current(&aap, BEGIN + 49), &key);
    assert_int_equal(schedule_next_begin(&aap, BEGIN + 49), BEGIN + 50);
    assert_ptr_equal(schedule_current(&aap, BEGIN + 50), &third);
    assert_int_equal(schedule_next_begin(&aap, BEGIN + 50), BEGIN + 100);
    assert_ptr_equal(schedule_current(&aap, BEGIN + 100), &second);
    assert_int_equal(schedule_next_begin(&aap, BEGIN + 100), 0);
    /* one that came after it had begun is newer; one from before is not */
    struct registry_key fourth = {.asked = BEGIN + 101, .next = &third};
    aap.keys = &fourth;
    assert_ptr_equal(schedule_current(&aap, BEGIN + 101), &fourth);
    fourth.asked = BEGIN + 60;
    assert_ptr_equal(schedule_current(&aap, BEGIN + 99), &fourth);
    assert_ptr_equal(schedule_current(&aap, BEGIN + 100), &second);
    second.deleted = true;
    assert_ptr_equal(schedule_current(&aap, BEGIN + 100), &fourth);
    assert_int_equal(schedule_next_begin(&aap, BEGIN + 60), 0);
}

static void one_that_kms_no_longer_has_does_not_begin(void **state)
{
    struct registry_key second = {.asked = BEGIN + 1, .scheduled = true, .not_before_time = BEGIN + 100,
                                  .not_after_time = BEGIN + DAY, .gone = true, .next = &key};
    aap.keys = &second;
    assert_int_equal(schedule_next_begin(&aap, BEGIN), 0);
    assert_ptr_equal(schedule_current(&aap, BEGIN + 100), &key);
    /* nor was it ever superseded, until it is of no use anyway */
    assert_true(schedule_waits(&second, BEGIN + 100));
    assert_false(schedule_waits(&second, BEGIN + DAY));
    assert_ptr_equal(schedule_current(&aap, BEGIN + DAY), &key);
    /* a listing has it again */
    second.gone = false;
    assert_int_equal(schedule_next_begin(&aap, BEGIN), BEGIN + 100);
    assert_ptr_equal(schedule_current(&aap, BEGIN + 100), &second);
    /* one that is the current key stays it, and so does one that is all there is */
    second.gone = true;
    aap.current = &second;
    assert_ptr_equal(schedule_current(&aap, BEGIN + 100), &second);
    aap.current = NULL;
    second.next = NULL;
    assert_ptr_equal(schedule_current(&aap, BEGIN + 100), &second);
}

static void what_has_begun_stays_so_by_a_clock_that_is_behind(void **state)
{
    struct registry_key second = {.asked = BEGIN + 1, .scheduled = true, .not_before_time = BEGIN + 100, .next = &key};
    aap.keys = &second;
    assert_true(schedule_waits(&second, BEGIN + 99));
    second.begun = true;
    assert_false(schedule_waits(&second, BEGIN + 99));
    assert_ptr_equal(schedule_current(&aap, BEGIN + 99), &second);
    assert_int_equal(schedule_next_begin(&aap, BEGIN + 99), 0);
}

static void where_none_has_begun_the_first_stays(void **state)
{
    struct registry_key second = {.scheduled = true, .not_before_time = BEGIN + 100, .next = &key};
    key.scheduled = true;
    key.not_before_time = BEGIN + 200;
    aap.keys = &second;
    assert_ptr_equal(schedule_current(&aap, BEGIN), &key);
    assert_ptr_equal(schedule_current(&aap, BEGIN + 100), &second);
    aap.keys = NULL;
    assert_null(schedule_current(&aap, BEGIN));
}

int main(void)
{
#define with_a_key(test) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        with_a_key(a_share_of_the_validity_minus_the_jitter),
        with_a_key(a_time_before_the_end),
        with_a_key(an_early_share_leaves_half_of_it),
        with_a_key(never),
        with_a_key(an_adopted_one_rests_for_a_day),
        with_a_key(dates_of_nonsense_do_no_harm),
        with_a_key(a_seed_is_the_keys_own_and_seeds_are_spread),
        with_a_key(attempts_come_further_apart_and_nearer_to_the_end_faster),
        with_a_key(the_newest_that_has_begun_is_the_current_one),
        with_a_key(one_that_kms_no_longer_has_does_not_begin),
        with_a_key(what_has_begun_stays_so_by_a_clock_that_is_behind),
        with_a_key(where_none_has_begun_the_first_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
