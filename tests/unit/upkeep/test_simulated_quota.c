/*
 * Two years of 50 AAPs with three places each, up to three keys on the first day, one call in ten failing, the answer of every second creation lost, and a stranger who makes and deletes keys: no AAP
 * is ever without a valid key, none waits for a rotation while a place is free or could be freed, and nothing is deleted
 * but what the rules allow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/simulated.h"

enum { AAPS = 50, DAY = RIG_DAY, QUOTA = CONFIG_QUOTA_KEYS, FAULT_PERCENT = 10, LOST_PERCENT = 50, LATE = DAY };
enum { STRANGER, LATE_SINCE }; /* notes: when the stranger comes next; since when a rotation could be made */

static uint64_t chance;
static unsigned int faults, freed_orphans, freed_superseded, expired, stranger_made, stranger_deleted, full_when_due;

static uint32_t draw(uint32_t below)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (uint32_t)(chance >> 32) % below;
}

static enum table_fault fault(bool creation)
{
    static const enum table_fault kinds[] = {FAULT_BEFORE, FAULT_AFTER, FAULT_UNAVAILABLE, FAULT_SHORT};
    if (creation && draw(100) < LOST_PERCENT)
        return FAULT_AFTER;
    if (draw(100) >= FAULT_PERCENT)
        return FAULT_NONE;
    faults++;
    return kinds[draw(4)];
}

/* The newest of those that the engine has, later than which none was made; NULL. */
static struct table_key *newest(struct table_aap *aap, const struct table_key *but)
{
    struct table_key *found = NULL;
    for (size_t i = 0; i < TABLE_KEYS; i++) {
        struct table_key *key = &aap->keys[i];
        if (key->id && key->ours && !key->lost && key != but && (!found || key->id > found->id))
            found = key;
    }
    return found;
}

static bool follows(const struct table_aap *aap)
{
    return (aap - kms_table.aaps) % 2;
}

/* What nobody was told to do without: the first key, or where that is over the newest but the current one. */
static const struct table_key *in_use(struct table_aap *aap, const struct table_key *current)
{
    if (follows(aap))
        return NULL;
    for (size_t i = 0; i < TABLE_KEYS; i++)
        if (aap->keys[i].id && aap->keys[i].first && aap->keys[i].end > simulated_now())
            return &aap->keys[i];
    const struct table_key *superseded = newest(aap, current);
    return superseded && superseded->end > simulated_now() ? superseded : NULL;
}

static bool may_be_freed(struct table_aap *aap, const struct table_key *key)
{
    const struct table_key *current = newest(aap, NULL);
    if (!key->ours || key == current)
        return false;
    return key->lost || key->end <= simulated_now() || key != in_use(aap, current);
}

static void judge_deletion(struct table_aap *aap, struct table_key *key)
{
    if (!may_be_freed(aap, key))
        fail_msg("%s: %s was deleted, ours %d, lost %d", aap->name, key->name, key->ours, key->lost);
    if (key->end <= simulated_now()) {
        expired++;
        return;
    }
    if (table_count(aap) < QUOTA)
        fail_msg("%s: %s was deleted, and there was a place", aap->name, key->name);
    freed_orphans += key->lost;
    freed_superseded += !key->lost;
}

/* Comes every few days: makes a key, or deletes one of his, now and then one of ours that is of no use. */
static void be_stranger(struct table_aap *aap)
{
    char before[ISO_TIME_SIZE], after[ISO_TIME_SIZE];
    struct table_key *his = NULL, *ours = NULL, *current = newest(aap, NULL);
    for (size_t i = 0; i < TABLE_KEYS; i++) {
        struct table_key *key = &aap->keys[i];
        if (key->id && !key->ours)
            his = key;
        else if (key->id && key != current && key != in_use(aap, current))
            ours = key;
    }
    aap->notes[STRANGER] = simulated_now() + DAY / 2 + draw(15 * DAY);
    iso_time_format(simulated_now() - 100, before);
    iso_time_format(simulated_now() + 365 * DAY, after);
    if (ours && draw(10) == 0) {
        ours->id = 0;
        stranger_deleted++;
    } else if (his && draw(3) > 0) {
        his->id = 0;
        stranger_deleted++;
    } else if (table_make(aap, before, after)) {
        stranger_made++;
    }
}

static void judge(struct table_aap *aap, const struct registry_aap *seen)
{
    bool place = table_count(aap) < QUOTA;
    struct table_key *current = newest(aap, NULL);
    if (!current || current->end <= simulated_now())
        fail_msg("%s has no valid key: %s: %s", aap->name, seen->failure.error.code, seen->failure.error.message);
    for (size_t i = 0; i < TABLE_KEYS; i++)
        place = place || (aap->keys[i].id && may_be_freed(aap, &aap->keys[i]));
    full_when_due += seen->rotation.state >= ROTATION_DUE && !place;
    if (seen->rotation.state < ROTATION_DUE || !place)
        aap->notes[LATE_SINCE] = 0;
    else if (!aap->notes[LATE_SINCE])
        aap->notes[LATE_SINCE] = simulated_now();
    else if (simulated_now() - aap->notes[LATE_SINCE] > LATE)
        fail_msg("%s does not rotate, and it could: %s: %s", aap->name, seen->failure.error.code, seen->failure.error.message);
}

/* What the applications were told of. */
static void mark_first(struct table_aap *aap)
{
    if (!aap->marked) /* nothing has been deleted yet */
        aap->keys[0].first = aap->marked = true;
}

static unsigned int tries(size_t aap)
{
    return 1 + aap % 3;
}

static void tick(struct registry *registry)
{
    registry_lock(registry);
    for (size_t i = 0; i < AAPS; i++) {
        struct table_aap *aap = &kms_table.aaps[i];
        mark_first(aap);
        if (simulated_now() >= aap->notes[STRANGER])
            be_stranger(aap);
        judge(aap, registry_find_aap(registry, aap->name));
    }
    registry_unlock(registry);
}

static void configure(struct config *config)
{
    config->sync_interval_ms = INT64_C(1) * DAY * 1000;
    config->sections = calloc(AAPS / 2, sizeof(*config->sections));
    assert_non_null(config->sections);
    for (size_t i = 1; i < AAPS; i += 2) {
        struct config_section *section = &config->sections[config->section_count++];
        snprintf(section->name, sizeof(section->name), "aap-%03zu", i);
        section->values = config->defaults;
        strcpy(section->values.on_rotate, "none");
    }
}

static void two_years_with_a_stranger(void **unused)
{
    const struct simulation simulation = {
        .aaps = AAPS,
        .end = RIG_BEGIN + INT64_C(730) * DAY,
        .configure = configure,
        .tries = tries,
        .fault = fault,
        .tick = tick,
        .deletes = judge_deletion,
    };
    const char *seed = getenv("AAPFS_SEED");
    chance = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("AAPFS_SEED=%llu\n", (unsigned long long)chance);
    simulate(&simulation);
    unsigned int rotations = 0;
    for (size_t i = 0; i < AAPS; i++) {
        unsigned int rotated = kms_table.aaps[i].creations - tries(i);
        assert_in_range(rotated, 2, 5);
        rotations += rotated;
    }
    print_message("%u rotations, %u faults, %u times all places were taken when one was due; the stranger made %u and deleted "
                  "%u; deleted by aapfs: %u expired, %u orphans, %u superseded\n", rotations, faults, full_when_due,
                  stranger_made, stranger_deleted, expired, freed_orphans, freed_superseded);
    assert_true(freed_orphans > 0); /* and of superseded ones few */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_years_with_a_stranger)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
