/*
 * Three years (one in the everyday run) of 500 AAPs whose keys were made in the same minute, with the places that KMS
 * gives them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/simulated.h"

enum { AAPS = TABLE_AAPS, DAY = RIG_DAY, VALIDITY = 90 * DAY };

static unsigned int deletions;

static void count_deletion(struct table_aap *aap, struct table_key *key)
{
    deletions++;
}

static unsigned int failing;

/* Each attempt succeeds, and begins when it is due: none is ever late. */
static void look_for_failures(struct registry *registry)
{
    registry_lock(registry);
    for (const struct registry_aap *aap = registry_first_aap(registry); aap; aap = aap->next)
        failing += aap->rotation.state == ROTATION_FAILING;
    registry_unlock(registry);
}

static int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* The most of the COUNT times, in their order, that lie within SECONDS. */
static unsigned int most_within(const int64_t *times, unsigned int count, int64_t seconds)
{
    unsigned int most = 0;
    for (unsigned int first = 0, last = 0; last < count; last++) {
        while (times[last] - times[first] >= seconds)
            first++;
        most = last - first + 1 > most ? last - first + 1 : most;
    }
    return most;
}

static void judge(unsigned int years)
{
    static int64_t all[AAPS * TABLE_CREATIONS], firsts[AAPS];
    unsigned int count = 0, fewest = TABLE_CREATIONS, most = 0, left = 0;
    double interval = 0.63 * VALIDITY; /* 66 % minus 0 to 6 % */
    unsigned int expected = (unsigned int)((double)years * 365 * DAY / interval);
    for (size_t i = 0; i < AAPS; i++) {
        const struct table_aap *aap = &kms_table.aaps[i];
        unsigned int rotations = aap->creations - 1;
        assert_in_range(aap->times[0], RIG_BEGIN, RIG_BEGIN + 59);
        fewest = rotations < fewest ? rotations : fewest;
        most = rotations > most ? rotations : most;
        firsts[i] = aap->times[1];
        memcpy(all + count, aap->times + 1, rotations * sizeof(*all));
        count += rotations;
        left += table_count(aap);
    }
    qsort(all, count, sizeof(*all), compare_times);
    qsort(firsts, AAPS, sizeof(*firsts), compare_times);
    int64_t spread = firsts[AAPS - 1] - firsts[0];
    print_message("%u rotations, %u to %u for one AAP (floor %u), the first ones within %.2f %% of the validity, at most %u "
                  "a minute and %u an hour; %u deleted, %u left\n", count, fewest, most, expected,
                  100.0 * (double)spread / VALIDITY, most_within(all, count, 60), most_within(all, count, 3600), deletions,
                  left);
    assert_true(fewest + 1 >= expected && most <= expected + 1);
    assert_true(spread >= VALIDITY / 20);
    assert_true(most_within(all, count, 60) <= 5);
    assert_true(most_within(all, count, 3600) <= AAPS / 20);
    assert_int_equal(deletions + left, count + AAPS);
    assert_int_equal(failing, 0);
    assert_true(left <= 2 * AAPS); /* what has expired is gone */
}

static void configure(struct config *config)
{
    config->defaults.validity_seconds = VALIDITY;
    config->defaults.validity_years = 0;
    config->sync_interval_ms = INT64_C(30) * DAY * 1000;
    strcpy(config->defaults.on_rotate, "none");
}

static void three_years(void **unused)
{
    const char *tests = getenv("AAPFS_TESTS"); /* the everyday run has less time */
    unsigned int years = tests && (strcmp(tests, "full") == 0 || strcmp(tests, "long") == 0) ? 3 : 1;
    const struct simulation simulation = {
        .aaps = AAPS,
        .end = RIG_BEGIN + INT64_C(365) * years * DAY,
        .configure = configure,
        .deletes = count_deletion,
        .tick = look_for_failures,
    };
    simulate(&simulation);
    judge(years);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_years)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
