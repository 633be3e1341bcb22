/* A creation needs a place: which key is deleted for it, after what, and when it is refused instead. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1, the current one. */
static void start(void)
{
    rig.config.defaults.delete_superseded = DELETE_NEVER;
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
}

/* Two creations whose answers are lost: KAAP.2 and KAAP.3 fill the other places. */
static void lose_two(void)
{
    for (int i = 0; i < 2; i++) {
        rig_write("payments", RIG_PASSWORD);
        rig_expect(RIG_CREATE, "payments");
        table_answer(FAULT_AFTER);
        table_serve();
        rig_pass(rig.config.creation_guard_ms);
    }
}

/* Its words. */
static const char *message(void)
{
    return rig_aap("payments")->failure.error.message;
}

static void one_that_was_lost_makes_room_when_kms_has_been_asked(void **unused)
{
    start();
    lose_two();
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_LIST_KEYS, "payments");
    table_answer(FAULT_NONE);
    table_serve_until(RIG_CREATE);
    assert_int_equal(table_count(table_find("payments")), 2); /* one, and no more than needed */
    assert_true(rig_has_logged("by max_keys (made here, lost)"));
    table_serve();
    assert_int_equal(rig_result(number), 0);
    assert_true(rig_shows("payments", "KAAP.4"));
}

static void what_may_be_in_use_is_not_deleted_for_it(void **unused)
{
    start();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD);
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    table_serve();
    rig_assert_failed(number, "payments", -EDQUOT, "MaxKeys");
    assert_non_null(strstr(message(), "KAAP.1 (made here, superseded, in use; delete)"));
    assert_int_equal(table_count(table_find("payments")), 3);
    assert_int_equal(rig_count_files(".intent-"), 0); /* nothing was asked for */
}

static void a_rotation_by_itself_may_free_a_superseded_one(void **unused)
{
    strcpy(rig.config.defaults.on_rotate, "none"); /* applications follow */
    start();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD);
    rig_jump_to(rig_aap("payments")->rotation.next + 1);
    table_serve_until(RIG_DELETE);
    assert_string_not_equal(rig_request()->id, "KAAP.3");
    table_serve();
    assert_true(rig_shows("payments", "KAAP.4"));
    assert_int_equal(table_count(table_find("payments")), 3);
}

static void a_place_that_somebody_freed_is_found(void **unused)
{
    start();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD);
    table_find("payments")->keys[0].id = 0;
    rig_write("payments", RIG_PASSWORD);
    table_serve_until(RIG_CREATE);
    assert_int_equal(table_count(table_find("payments")), 2);
}

static void where_kms_has_no_place_although_one_seemed_free_its_word_is_told(void **unused)
{
    start();
    table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2024-11-01T00:00:00Z");
    table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2024-11-01T00:00:00Z");
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_CREATE, "payments");
    table_answer(FAULT_NONE);
    rig_settle();
    rig_expect(RIG_LIST_KEYS, "payments");
    table_serve();
    rig_assert_failed(number, "payments", -EDQUOT, "Rejected.LimitExceeded");
    assert_non_null(strstr(message(), "KAAP.2 (made elsewhere; delete-foreign)"));
}

static void where_the_deletion_fails_nothing_is_made(void **unused)
{
    start();
    lose_two();
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    table_serve_until(RIG_DELETE);
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EDQUOT, "MaxKeys");
    assert_non_null(strstr(message(), "cannot be deleted: Forbidden.NoPermission"));
}

static void where_kms_cannot_be_asked_nothing_is_deleted(void **unused)
{
    start();
    lose_two();
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_LIST_KEYS, "payments");
    rig_lose();
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -ECONNRESET, "Network.Reset");
}

static void nothing_is_deleted_for_a_writer_whose_time_is_up(void **unused)
{
    start();
    lose_two();
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_LIST_KEYS, "payments");
    rig_pass(rig.config.request_timeout_ms + 500);
    assert_int_equal(rig_result(number), -ETIMEDOUT);
    table_serve();
    assert_int_equal(table_count(table_find("payments")), 3);
    assert_non_null(strstr(message(), "no key was asked for"));
}

/* KMS, which lists nothing, is asked for a key, and has no place. */
static uint64_t be_refused(void)
{
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_CREATE, "payments");
    table_answer(FAULT_NONE);
    rig_settle();
    rig_expect(RIG_LIST_KEYS, "payments");
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    return number;
}

static void where_kms_lists_nothing_its_word_is_taken_as_far_as_a_place_can_be_freed(void **unused)
{
    start();
    rig_do("payments", RIG_PASSWORD " 2023-11-14T00:00:00Z 2023-12-01T00:00:00Z");
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", "delete KAAP.1");
    table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2024-11-01T00:00:00Z"); /* KAAP.4, of which nobody here knows */
    rig_assert_failed(be_refused(), "payments", -EDQUOT, "Rejected.LimitExceeded");
    rig_jump(30 * RIG_DAY * 1000); /* KAAP.2 has expired */
    rig_expect(RIG_LIST_KEYS, "payments"); /* tried again by itself */
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    uint64_t number = be_refused();
    rig_expect(RIG_DELETE, "KAAP.2");
    table_serve();
    assert_int_equal(rig_result(number), 0);
    assert_true(rig_shows("payments", "KAAP.5"));
}

static void an_expired_current_key_makes_way_and_stays_readable(void **unused)
{
    start();
    table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2033-11-01T00:00:00Z");
    table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2033-11-01T00:00:00Z");
    rig_do(NULL, "sync");
    rig_stop(NULL);
    rig.now_ms += 400 * RIG_DAY * 1000; /* it was off */
    rig_start();
    table_serve_until(RIG_DELETE);
    rig_expect(RIG_DELETE, "KAAP.1");
    assert_true(rig_shows("payments", "KAAP.1"));
    table_serve_until(RIG_CREATE);
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    assert_true(rig_shows("payments", "KAAP.1"));
    rig_stop(NULL);
    rig_start(); /* the next worker knows that it was no loss */
    table_serve_until(RIG_CREATE);
    assert_true(rig_shows("payments", "KAAP.1"));
    table_serve();
    assert_true(rig_shows("payments", "KAAP.4"));
    assert_int_equal(table_count(table_find("payments")), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(one_that_was_lost_makes_room_when_kms_has_been_asked),
        rig_test(what_may_be_in_use_is_not_deleted_for_it),
        rig_test(a_rotation_by_itself_may_free_a_superseded_one),
        rig_test(a_place_that_somebody_freed_is_found),
        rig_test(where_kms_has_no_place_although_one_seemed_free_its_word_is_told),
        rig_test(where_the_deletion_fails_nothing_is_made),
        rig_test(where_kms_cannot_be_asked_nothing_is_deleted),
        rig_test(nothing_is_deleted_for_a_writer_whose_time_is_up),
        rig_test(where_kms_lists_nothing_its_word_is_taken_as_far_as_a_place_can_be_freed),
        rig_test(an_expired_current_key_makes_way_and_stays_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
