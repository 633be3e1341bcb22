/* The queue of what is due, against a list that is searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fs/base/due.h"

enum { ENTRIES = 300 };

static struct due_entry entries[ENTRIES];

static int fill(void **state)
{
    static struct due due;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        assert_true(due_reserve(&due));
        due_add(&due, &entries[i], i + 1);
    }
    *state = &due;
    return 0;
}

static int empty(void **state)
{
    due_free(*state);
    return 0;
}

static uint32_t first_by_search(void)
{
    const struct due_entry *first = NULL;
    for (size_t i = 0; i < ENTRIES; i++)
        if (entries[i].when != INT64_MAX && (!first || entries[i].when < first->when))
            first = &entries[i];
    return first ? first->number : 0;
}

static void what_was_only_added_is_never_due(void **state)
{
    assert_int_equal(due_take(*state, INT64_MAX), 0);
    assert_true(due_when(*state) == INT64_MAX);
}

static void the_first_is_the_first_whatever_is_moved(void **state)
{
    unsigned int seed = 1;
    for (int i = 0; i < 20000; i++) {
        struct due_entry *entry = &entries[rand_r(&seed) % ENTRIES];
        int64_t when = rand_r(&seed) % 5 == 0 ? INT64_MAX : rand_r(&seed) % 50; /* many at the same time */
        if (i % 2)
            due_at(*state, entry, when);
        else
            due_by(*state, entry, when);
        uint32_t first = first_by_search();
        assert_true(due_when(*state) == (first ? entries[first - 1].when : INT64_MAX));
        if (i % 7 == 0) {
            int64_t now = due_when(*state);
            assert_int_equal(due_take(*state, now - 1), 0);
            assert_int_equal(due_take(*state, now), first);
            assert_true(!first || entries[first - 1].when == INT64_MAX);
        }
    }
}

static void all_of_one_time_come_by_their_numbers(void **state)
{
    for (size_t i = ENTRIES; i > 0; i--)
        due_at(*state, &entries[i - 1], 7);
    for (uint32_t number = 1; number <= ENTRIES; number++)
        assert_int_equal(due_take(*state, 7), number);
    assert_int_equal(due_take(*state, 7), 0);
}

static void by_never_puts_off(void **state)
{
    due_at(*state, &entries[3], 10);
    due_by(*state, &entries[3], 20);
    assert_true(due_when(*state) == 10);
    due_by(*state, &entries[3], 5);
    assert_true(due_when(*state) == 5);
}

static void what_is_removed_leaves_the_others_in_order(void **state)
{
    unsigned int seed = 2;
    int64_t last = 0;
    size_t left = 0;
    for (size_t i = 0; i < ENTRIES; i++)
        due_at(*state, &entries[i], rand_r(&seed) % 1000);
    for (size_t i = 0; i < ENTRIES; i += 2)
        due_remove(*state, &entries[i]);
    for (const struct due_entry *entry; (entry = due_take_entry(*state, 1000)); left++) {
        assert_true(entry->when == INT64_MAX && entry->number % 2 == 0);
        assert_true(due_when(*state) >= last);
        last = due_when(*state) == INT64_MAX ? last : due_when(*state);
    }
    assert_int_equal(left, ENTRIES / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_only_added_is_never_due, fill, empty),
        cmocka_unit_test_setup_teardown(the_first_is_the_first_whatever_is_moved, fill, empty),
        cmocka_unit_test_setup_teardown(all_of_one_time_come_by_their_numbers, fill, empty),
        cmocka_unit_test_setup_teardown(what_is_removed_leaves_the_others_in_order, fill, empty),
        cmocka_unit_test_setup_teardown(by_never_puts_off, fill, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
