/* When a process that died is started again. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fs/engine/kms_clock.h"
#include "fs/mount/child.h"

/* Statuses as waitpid(2) tells them. */
enum { CRASHED = SIGSEGV, KILLED = SIGKILL, FAILED = 1 << 8 };

static int64_t wait_after(struct child *child, int status, bool useful)
{
    int64_t before_ms = clock_monotonic_ms();
    child->process = 1;
    child_ended(child, status, useful);
    assert_int_equal(child->process, 0);
    int64_t wait_ms = child->start_ms - before_ms;
    return wait_ms < 50 ? 0 : wait_ms / 100 * 100; /* the clock goes on meanwhile */
}

static void crashes_in_a_row_wait_longer_and_for_ever(void **state)
{
    static const int64_t waits_ms[] = {0, 100, 1000, 10000, 30000, 30000, 30000};
    struct child child = {.name = "aapfs-test"};
    for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++)
        assert_int_equal(wait_after(&child, i % 2 ? CRASHED : FAILED, false), waits_ms[i]);
    /* one that has done something begins anew */
    assert_int_equal(wait_after(&child, CRASHED, true), 0);
    assert_int_equal(wait_after(&child, CRASHED, false), 100);
}

static void kills_do_not_wait_until_there_are_many(void **state)
{
    struct child child = {.name = "aapfs-test"};
    for (int i = 0; i <= CHILD_KILLS_AT_ONCE; i++)
        assert_int_equal(wait_after(&child, KILLED, false), 0);
    assert_int_equal(wait_after(&child, KILLED, false), 100);
    assert_int_equal(wait_after(&child, KILLED, false), 1000);
}

static void one_that_was_replaced_is_no_failure(void **state)
{
    struct child child = {.name = "aapfs-test", .failures = 3, .replaced = true};
    assert_int_equal(wait_after(&child, KILLED, false), 0);
    assert_int_equal(child.failures, 3);
    assert_false(child.replaced);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_in_a_row_wait_longer_and_for_ever),
        cmocka_unit_test(kills_do_not_wait_until_there_are_many),
        cmocka_unit_test(one_that_was_replaced_is_no_failure),
    };
    /* what is told to the person who runs aapfs is no matter here */
    return freopen("/dev/null", "w", stderr) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
