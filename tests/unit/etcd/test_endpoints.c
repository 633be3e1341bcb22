/* Which member of etcd is asked, and when one that failed is asked again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/etcd/endpoints.h"

static const char *const urls[] = {"https://a:2379", "https://[fd00::1]:2379/", "http://127.0.0.1:2379"};

static void set(struct endpoints *endpoints)
{
    char reason[256];
    assert_int_equal(endpoints_set(endpoints, urls, 3, reason, sizeof(reason)), 0);
    endpoints->current = 0;
}

static void urls_are_taken_apart(void **state)
{
    struct endpoints endpoints;
    char reason[256];
    set(&endpoints);
    assert_string_equal(endpoints.members[1].url, "https://[fd00::1]:2379");
    assert_string_equal(endpoints.members[2].url, "http://127.0.0.1:2379");
    assert_int_equal(endpoints_set(&endpoints, (const char *const[]){"http://10.0.0.1:2379"}, 1, reason, sizeof(reason)), -EINVAL);
    assert_non_null(strstr(reason, "http:// is for 127.0.0.1"));
    assert_int_equal(endpoints_set(&endpoints, urls, 0, reason, sizeof(reason)), -EINVAL);
    assert_int_equal(endpoints_set(&endpoints, urls, ENDPOINTS_MOST + 1, reason, sizeof(reason)), -EINVAL);
}

static void one_that_answers_stays_the_one(void **state)
{
    struct endpoints endpoints;
    int64_t again_ms;
    set(&endpoints);
    assert_int_equal(endpoints_choose(&endpoints, 1000, &again_ms), 0);
    endpoints_answered(&endpoints, 0);
    assert_int_equal(endpoints_choose(&endpoints, 1001, &again_ms), 0);
    endpoints_failed(&endpoints, 0, 1002, 7);
    assert_int_equal(endpoints_choose(&endpoints, 1002, &again_ms), 1);
    endpoints_answered(&endpoints, 1);
    assert_int_equal(endpoints_choose(&endpoints, 100000, &again_ms), 1); /* and not back to the first */
}

static void when_all_have_failed_the_first_to_come_back_is_waited_for(void **state)
{
    struct endpoints endpoints;
    int64_t again_ms;
    set(&endpoints);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(endpoints_choose(&endpoints, 1000 + (int64_t)i, &again_ms), i);
        endpoints_failed(&endpoints, i, 1000 + (int64_t)i, 0);
    }
    assert_int_equal(endpoints_choose(&endpoints, 1010, &again_ms), ENDPOINTS_NONE);
    assert_true(again_ms > 1010 && again_ms == endpoints.members[0].again_ms);
    assert_int_equal(endpoints_choose(&endpoints, again_ms, &again_ms), 0);
}

/* Twice as long each time, up to a limit; half of it by chance; requests that failed together count once. */
static void the_wait_grows(void **state)
{
    struct endpoints endpoints;
    int64_t now_ms = 1000, before_ms = 0;
    set(&endpoints);
    for (unsigned int i = 0; i < 12; i++) {
        endpoints_failed(&endpoints, 0, now_ms, 0);
        int64_t least_ms = endpoints.members[0].again_ms - now_ms;
        assert_true(least_ms >= before_ms && least_ms <= ENDPOINTS_WAIT_MOST_MS / 2);
        endpoints_failed(&endpoints, 0, now_ms + 1, 0);
        assert_int_equal(endpoints.members[0].failures, i + 1);
        before_ms = least_ms;
        now_ms += least_ms;
    }
    assert_true(before_ms > ENDPOINTS_WAIT_MOST_MS / 4);
    endpoints_failed(&endpoints, 0, now_ms, UINT32_MAX);
    assert_true(endpoints.members[0].again_ms - now_ms <= ENDPOINTS_WAIT_MOST_MS);
    endpoints_answered(&endpoints, 0);
    endpoints_failed(&endpoints, 0, now_ms, 0);
    assert_true(endpoints.members[0].again_ms - now_ms < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(one_that_answers_stays_the_one),
        cmocka_unit_test(when_all_have_failed_the_first_to_come_back_is_waited_for),
        cmocka_unit_test(the_wait_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
