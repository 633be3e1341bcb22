/* Creations whose ends are not known: what a listing makes of them, and when they are forgotten. */
#include "tests/unit/engine_rig.h"

static void start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
}

/* A creation whose answer is lost; whether there is a key. */
static void lose(bool made, const char *text)
{
    rig_write("payments", text);
    table_serve_until(RIG_CREATE);
    table_answer(made ? FAULT_AFTER : FAULT_BEFORE);
    rig_settle();
}

static bool is_orphan(const char *id)
{
    return registry_has_id(rig_aap("payments")->orphans, id);
}

static bool is_candidate(const char *id)
{
    return registry_has_id(rig_aap("payments")->candidates, id);
}

static void a_key_with_the_dates_that_were_asked_for_is_an_orphan(void **unused)
{
    start();
    lose(true, RIG_PASSWORD);
    rig_expect(RIG_LIST_KEYS, "payments"); /* at once */
    table_serve();
    assert_true(is_orphan("KAAP.1"));
    assert_false(is_candidate("KAAP.1"));
    rig_pass(3600 * 1000);
    table_serve();
    assert_true(is_orphan("KAAP.1")); /* and stays one */
    assert_int_equal(rig_count_files(".intent-"), 1);
    rig_stop(NULL);
    rig_start();
    table_serve();
    assert_true(is_orphan("KAAP.1")); /* for the next worker, too */
    rig_do("payments", "delete KAAP.1");
    assert_false(is_orphan("KAAP.1"));
    assert_int_equal(rig_count_files(".intent-"), 0);
}

static void one_of_which_no_key_came_is_forgotten_after_two_listings_a_minute_later(void **unused)
{
    start();
    lose(false, RIG_PASSWORD);
    table_serve();
    assert_int_equal(rig_count_files(".intent-"), 1);
    rig_pass(60 * 1000); /* its request may be on its way so long */
    rig_expect_nothing();
    rig_pass(1000);
    rig_expect(RIG_LIST_KEYS, "payments");
    table_serve();
    assert_int_equal(rig_count_files(".intent-"), 1);
    rig_pass(5000);
    rig_expect(RIG_LIST_KEYS, "payments");
    table_serve();
    assert_int_equal(rig_count_files(".intent-"), 0);
    rig_pass(600 * 1000);
    rig_expect_nothing();
}

static void where_the_user_gave_the_dates_unknown_keys_since_are_candidates(void **unused)
{
    start();
    table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2024-11-01T00:00:00Z"); /* KAAP.1, long before */
    rig_jump(RIG_DAY * 1000);
    lose(true, RIG_PASSWORD " 2023-11-15T00:00:00Z 2024-11-15T00:00:00Z");
    table_serve();
    assert_true(is_candidate("KAAP.2"));
    assert_false(is_orphan("KAAP.2"));
    assert_false(is_candidate("KAAP.1"));
}

static void a_short_listing_takes_no_orphan_away(void **unused)
{
    start();
    lose(true, RIG_PASSWORD);
    table_serve();
    rig_write(NULL, "sync");
    table_serve_until(RIG_LIST_KEYS);
    rig_answer_keys(NULL, 0);
    assert_true(is_orphan("KAAP.1"));
    assert_true(rig_aap("payments")->orphans->unlisted); /* but that is told */
}

static void a_creation_under_way_is_nobodys_candidate(void **unused)
{
    start();
    lose(false, RIG_PASSWORD " 2023-11-15T00:00:00Z 2024-11-15T00:00:00Z"); /* candidates may be of it */
    rig_pass(rig.config.creation_guard_ms);
    rig_write("payments", RIG_PASSWORD);
    rig_postpone();
    const struct rig_request *creation = rig_expect(RIG_CREATE, "payments");
    const struct kms_client_key listed = {.client_key_id = "KAAP.7", .key_algorithm = "RSA_2048", .create_time = "",
                                          .not_before = creation->not_before, .not_after = creation->not_after,
                                          .public_key_data = "", .aap_name = "payments"};
    rig_postpone();
    rig_expect(RIG_LIST_KEYS, "payments");
    rig_answer_keys(&listed, 1);
    assert_false(is_candidate("KAAP.7"));
    rig_answer_key("KAAP.7");
    assert_true(rig_shows("payments", "KAAP.7"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(a_key_with_the_dates_that_were_asked_for_is_an_orphan),
        rig_test(one_of_which_no_key_came_is_forgotten_after_two_listings_a_minute_later),
        rig_test(where_the_user_gave_the_dates_unknown_keys_since_are_candidates),
        rig_test(a_short_listing_takes_no_orphan_away),
        rig_test(a_creation_under_way_is_nobodys_candidate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
