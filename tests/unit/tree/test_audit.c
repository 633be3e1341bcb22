#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/tree/audit.h"
#include "kmsapi/cleanup.h"

static void *new_memory(void)
{
    void *memory = calloc(1, audit_size());
    assert_non_null(memory);
    return memory;
}

static struct audit_open open_number(int number)
{
    struct audit_open opened = {.time = number, .pid = number};
    snprintf(opened.file, sizeof(opened.file), "payments/%d", number);
    return opened;
}

static void add(struct audit *audit, int from, int to)
{
    for (int number = from; number <= to; number++) {
        const struct audit_open opened = open_number(number);
        audit_add(audit, (uint64_t)number, &opened);
    }
}

static void expect(struct audit *audit, int from, int to)
{
    struct audit_open opened;
    for (int number = from; number <= to; number++) {
        assert_true(audit_next(audit, &opened));
        assert_int_equal(opened.pid, number);
        audit_logged(audit);
    }
}

static void test_the_next_worker_goes_on_with_what_was_not_logged(void **state)
{
    _cleanup_(free) void *memory = new_memory();
    struct audit_open opened;
    struct audit *audit = audit_open(memory);
    assert_false(audit_next(audit, &opened));
    add(audit, 1, 5);
    expect(audit, 1, 2);
    audit = audit_open(memory); /* it died before it had logged the third */
    add(audit, 6, 6);
    expect(audit, 3, 6);
    assert_false(audit_next(audit, &opened));
    assert_int_equal(audit_dropped(audit), 0);
}

static void test_what_has_no_room_is_counted(void **state)
{
    _cleanup_(free) void *memory = new_memory();
    struct audit_open opened;
    struct audit *audit = audit_open(memory);
    add(audit, 1, AUDIT_QUEUED + 3);
    assert_int_equal(audit_dropped(audit), 3);
    expect(audit, 1, 1);
    audit = audit_open(memory);
    add(audit, AUDIT_QUEUED + 4, AUDIT_QUEUED + 4);
    assert_int_equal(audit_dropped(audit), 3);
    expect(audit, 2, AUDIT_QUEUED);
    expect(audit, AUDIT_QUEUED + 4, AUDIT_QUEUED + 4);
    assert_false(audit_next(audit, &opened));
    audit_told_dropped(audit, 3);
    assert_int_equal(audit_dropped(audit), 0);
    _cleanup_(free) char *text = audit_text(audit);
    char first[128];
    snprintf(first, sizeof(first), "{\"Opens\": %d, \"NotShown\": %d, \"NotLogged\": 3}\n", AUDIT_QUEUED + 4,
             AUDIT_QUEUED + 4 - AUDIT_KEPT);
    assert_memory_equal(text, first, strlen(first));
}

/* A worker that was killed in the middle leaves the request, too: it is answered again, and told once. */
static void test_a_request_that_comes_again_is_told_once(void **state)
{
    _cleanup_(free) void *memory = new_memory();
    struct audit_open opened;
    struct audit *audit = audit_open(memory);
    uint64_t *count = memory; /* the first member: as if it had not come to this yet */
    add(audit, 1, 2);
    assert_true(audit_has(audit, 2));
    assert_false(audit_has(audit, 1));
    assert_int_equal(*count, 2);
    *count = 1;
    audit = audit_open(memory);
    assert_false(audit_has(audit, 2));
    add(audit, 2, 2);
    assert_true(audit_has(audit, 2));
    expect(audit, 1, 2);
    assert_false(audit_next(audit, &opened));
    assert_int_equal(*count, 2);
}

static void test_a_memory_that_makes_no_sense_is_survived(void **state)
{
    _cleanup_(free) void *memory = new_memory();
    struct audit_open opened;
    memset(memory, 0xff, audit_size());
    for (int i = 0; i < 2; i++) {
        struct audit *audit = audit_open(memory);
        if (audit_next(audit, &opened))
            assert_true(strlen(opened.file) < sizeof(opened.file) && strlen(opened.program) < sizeof(opened.program));
        memset(memory, 0x55, audit_size());
    }
    add(audit_open(memory), 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_worker_goes_on_with_what_was_not_logged),
        cmocka_unit_test(test_what_has_no_room_is_counted),
        cmocka_unit_test(test_a_request_that_comes_again_is_told_once),
        cmocka_unit_test(test_a_memory_that_makes_no_sense_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
