/* Which AAPs there are: what comes, what goes, when KMS is asked again, and what a sync ends with. */
#include "tests/unit/engine_rig.h"

static const struct registry_mount *mount_of(void)
{
    return registry_mount(rig.registry);
}

/* An engine that has listed "orders" and "payments"; PAYMENTS has a key. */
static void start(void)
{
    table_add("orders");
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
}

static void what_is_new_gets_a_directory(void **unused)
{
    table_add(".hidden");
    start();
    assert_int_equal(rig_published(PUBLISH_AAP), 2);
    assert_true(numbers_aap(rig.numbers, rig_aap("orders")->number)->shown);
    assert_int_equal(mount_of()->hidden, 1);
    assert_in_range(mount_of()->last_sync, RIG_BEGIN, RIG_BEGIN + 1);
    assert_int_equal(rig.first_syncs, 1);
    table_add("new");
    rig_do(NULL, "sync");
    assert_int_equal(rig_published(PUBLISH_AAP), 3);
    assert_non_null(rig_aap("new"));
}

static void what_is_not_listed_goes_unless_something_of_it_is_here(void **unused)
{
    start();
    table_add("other");
    table_find("orders")->gone = true;
    table_find("payments")->gone = true;
    rig_do(NULL, "sync");
    assert_null(registry_find_aap(rig.registry, "orders"));
    assert_int_equal(rig_published(PUBLISH_REMOVE_AAP), 1);
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_true(rig_aap("payments")->gone); /* KMS itself was asked */
    assert_true(rig_has_logged("payments: KMS no longer has this application access point"));
    kms_table.aaps[1].gone = false;
    rig_do(NULL, "sync");
    assert_false(rig_aap("payments")->gone);
}

static void a_listing_that_may_be_a_mistake_takes_nothing_away(void **unused)
{
    start();
    rig_write(NULL, "sync");
    rig_expect(RIG_LIST_AAPS, "");
    rig_answer(&(struct rig_result){.count = 0}); /* and keys are served */
    assert_non_null(rig_aap("orders"));
    table_serve();
    rig_write(NULL, "sync");
    const struct kms_aap listed = {.name = "payments", .authentication_method = "ClientKey"};
    rig_answer(&(struct rig_result){.aaps = &listed, .count = 1, .uncounted = true});
    assert_non_null(rig_aap("orders"));
    table_serve();
    rig_write(NULL, "sync");
    rig_answer(&(struct rig_result){.aaps = &listed, .count = 1});
    assert_null(registry_find_aap(rig.registry, "orders"));
}

static void a_listing_that_fails_is_repeated_at_growing_intervals(void **unused)
{
    rig.config.sync_interval_ms = 3600 * 1000;
    table_add("payments");
    rig_start();
    for (int64_t wait_ms = 1000; wait_ms <= 4000; wait_ms *= 2) {
        rig_expect(RIG_LIST_AAPS, "");
        rig_lose();
        assert_string_equal(mount_of()->failure.error.code, "Network.Reset");
        rig_pass(wait_ms - 1);
        rig_expect_nothing();
        rig_pass(1);
    }
    assert_int_equal(mount_of()->last_sync, 0);
    table_serve();
    assert_int_equal(mount_of()->failure.error.number, 0);
    assert_true(mount_of()->last_sync > 0);
    int64_t listed_ms = rig.now_ms;
    rig_jump(3600 * 900 - 1000);
    rig_expect_nothing();
    rig_jump(listed_ms + 3600 * 1100 - rig.now_ms); /* a tenth earlier or later than sync_interval */
    rig_expect(RIG_LIST_AAPS, "");
}

static void a_sync_ends_with_the_listings_of_keys(void **unused)
{
    start();
    uint64_t number = rig_write(NULL, "sync");
    table_serve_until(RIG_LIST_KEYS);
    assert_false(rig_is_answered(number));
    table_serve();
    assert_int_equal(rig_result(number), 0);
    number = rig_write(NULL, "sync");
    table_serve_until(RIG_LIST_KEYS);
    rig_lose();
    rig_assert_failed(number, NULL, -ECONNRESET, "Network.Reset");
    rig_pass(rig.config.creation_guard_ms); /* the next one is not refused for that */
    rig_do(NULL, "sync");
    assert_int_equal(mount_of()->failure.error.number, 0);
}

static void who_has_waited_long_enough_is_told_and_it_goes_on(void **unused)
{
    start();
    table_add("new");
    uint64_t number = rig_write(NULL, "sync");
    rig_pass(rig.config.request_timeout_ms + 500);
    rig_assert_failed(number, NULL, -ETIMEDOUT, "Network.Timeout");
    table_serve();
    assert_non_null(rig_aap("new"));
}

static void a_sync_of_named_aaps_is_complete_when_kms_has_answered_for_each(void **unused)
{
    table_add("orders");
    table_add("payments");
    rig_name_aap("orders");
    rig_name_aap("payments");
    rig_start();
    rig_expect(RIG_DESCRIBE, "orders");
    assert_non_null(rig_aap("payments"));
    table_serve_until(RIG_LIST_KEYS);
    rig_expect(RIG_LIST_KEYS, "orders");
    rig_lose();
    assert_string_equal(mount_of()->failure.error.code, "Network.Reset");
    table_serve();
    assert_int_equal(mount_of()->last_sync, 0);
    rig_pass(10000);
    rig_expect(RIG_LIST_KEYS, "orders");
    table_serve();
    assert_true(mount_of()->last_sync > 0);
    assert_int_equal(mount_of()->failure.error.number, 0);
}

static void a_walk_that_takes_longer_than_the_interval_ends_all_the_same(void **unused)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    rig.config.sync_interval_ms = 1000;
    rig.config.requests_per_second = 2;
    for (unsigned int i = 0; i < 4; i++) {
        table_add(names[i]);
        rig_name_aap(names[i]);
    }
    rig_start();
    for (int64_t last = 0, rounds = 0; rounds < 3; rounds++, last = mount_of()->last_sync)
        for (unsigned int i = 0; i < 100 && mount_of()->last_sync == last; i++) {
            table_serve();
            rig_pass(100);
        }
    assert_in_range(mount_of()->last_sync, RIG_BEGIN + 4, RIG_BEGIN + 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(what_is_new_gets_a_directory),
        rig_test(what_is_not_listed_goes_unless_something_of_it_is_here),
        rig_test(a_listing_that_may_be_a_mistake_takes_nothing_away),
        rig_test(a_listing_that_fails_is_repeated_at_growing_intervals),
        rig_test(a_sync_ends_with_the_listings_of_keys),
        rig_test(who_has_waited_long_enough_is_told_and_it_goes_on),
        rig_test(a_sync_of_named_aaps_is_complete_when_kms_has_answered_for_each),
        rig_test(a_walk_that_takes_longer_than_the_interval_ends_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
