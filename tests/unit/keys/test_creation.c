/* One creation: what is on the disk when, what readers see when, and what each end leaves. */
#include "tests/unit/engine_rig.h"

static uint64_t number; /* of the write that asks for it */

/* A password was written: KMS is asked for the key. */
static const struct rig_request *ask(void)
{
    table_add("payments");
    rig_start();
    table_serve();
    number = rig_write("payments", RIG_PASSWORD);
    return rig_expect(RIG_CREATE, "payments");
}

static unsigned int saved;

static void count_saved(const char *client_key_id)
{
    saved = rig_count_files("payments/KAAP.77");
}

static void each_step_comes_when_the_one_before_is_done(void **unused)
{
    assert_string_equal(ask()->password, RIG_PASSWORD);
    assert_int_equal(rig_count_files(".intent-"), 1); /* what was asked for, and room for it */
    assert_int_equal(rig_count_files(".room-"), 1);
    assert_int_not_equal(rig.noted_intent, 0);
    assert_true(rig_aap("payments")->busy);
    rig.holds_publications = true;
    rig.opens = count_saved;
    rig_answer_key("KAAP.77");
    assert_int_equal(saved, 1); /* before it is judged, or anybody sees it */
    assert_int_equal(rig_count_files(".intent-") + rig_count_files(".room-"), 0);
    assert_int_equal(rig.publications[rig.publications_ended].kind, PUBLISH_KEY);
    rig_publish(0);
    assert_int_equal(rig.publications[rig.publications_ended].kind, PUBLISH_GENERATION);
    assert_false(rig_is_answered(number));
    rig_publish(0);
    assert_int_equal(rig_result(number), 0);
    assert_true(rig_shows("payments", "KAAP.77"));
    assert_false(rig_aap("payments")->busy);
    assert_true(rig_has_logged("payments: created KAAP.77"));
}

static void of_one_that_kms_refuses_nothing_is_left(void **unused)
{
    ask();
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    rig_assert_failed(number, "payments", -EACCES, "Forbidden.NoPermission");
    assert_int_equal(rig_count_files(".intent-") + rig_count_files(".room-"), 0);
    rig_do("payments", RIG_PASSWORD);
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
}

static void of_one_whose_answer_is_lost_the_intent_stays(void **unused)
{
    ask();
    rig_lose();
    rig_assert_failed(number, "payments", -ECONNRESET, "Network.Reset");
    assert_int_equal(rig_count_files(".intent-"), 1);
    assert_int_equal(rig_count_files(".room-"), 0);
}

static void what_cannot_be_opened_is_kept_and_not_shown(void **unused)
{
    ask();
    rig_answer_no_key("KAAP.77");
    rig_assert_failed(number, "payments", -EKEYREJECTED, "KeyRejected");
    assert_int_equal(rig_count_files("payments/KAAP.77"), 1);
    assert_true(registry_has_id(rig_aap("payments")->rejected, "KAAP.77"));
    assert_string_equal(rig_current("payments"), "");
}

static void one_that_has_expired_when_it_comes_is_rejected(void **unused)
{
    ask();
    const struct kms_client_key over = {.client_key_id = "KAAP.77", .key_algorithm = "RSA_2048", .private_key_data = RIG_KEY,
                                        .not_before = "2022-11-01T00:00:00Z", .not_after = "2023-11-14T22:12:00Z"};
    rig_answer(&(struct rig_result){.keys = &over});
    rig_assert_failed(number, "payments", -EKEYREJECTED, "KeyRejected");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "had passed before it was asked for"));
    assert_true(registry_has_id(rig_aap("payments")->rejected, "KAAP.77"));
    assert_string_equal(rig_current("payments"), "");
}

static void nothing_is_asked_for_that_there_is_no_room_to_keep(void **unused)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig.disk_error = ENOSPC;
    number = rig_write("payments", RIG_PASSWORD);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -ENOSPC, "State");
}

static void a_key_that_comes_late_becomes_the_current_one_all_the_same(void **unused)
{
    const struct rig_request *request = ask();
    request->parked(request->user); /* the request's time is up */
    rig_settle();
    rig_assert_failed(number, "payments", -ETIMEDOUT, "Network.Timeout");
    rig_answer_key("KAAP.77");
    assert_true(rig_shows("payments", "KAAP.77"));
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
}

static void another_process_does_not_make_a_second_one_at_once(void **unused)
{
    ask();
    table_serve();
    number = rig_write_by("payments", "Abcdefg2~", 2, 0);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EBUSY, "CreationGuard");
    rig_write_by("payments", "Abcdefg2~", 1, 0); /* it knows what it does */
    rig_expect(RIG_CREATE, "payments");
    table_serve();
    rig_pass(rig.config.creation_guard_ms);
    rig_write_by("payments", "Abcdefg3~", 2, 0);
    rig_expect(RIG_CREATE, "payments");
}

static void dates_that_were_chosen_by_a_wrong_clock_are_chosen_again_by_kmss(void **unused)
{
    int64_t begins, told = RIG_BEGIN + RIG_DAY;
    ask();
    rig_answer(&(struct rig_result){.error = {.number = EIO, .http_status = 400, .code = "InvalidTimeStamp.Expired"},
                                    .time_was_wrong = true, .server_date = told});
    const char *not_before = rig_expect(RIG_CREATE, "payments")->not_before;
    assert_int_equal(iso_time_parse(not_before, strlen(not_before), &begins), 0);
    assert_in_range(begins, told - 3660, told - 60);
    assert_int_equal(rig_count_files(".intent-"), 1);
    rig_answer(&(struct rig_result){.error = {.number = EIO, .http_status = 400, .code = "InvalidTimeStamp.Expired"},
                                    .time_was_wrong = true, .server_date = told});
    rig_assert_failed(number, "payments", -EIO, "InvalidTimeStamp.Expired"); /* once is enough */
}

static void without_a_validity_of_its_own_kms_chooses_the_dates(void **unused)
{
    rig.config.defaults.validity_seconds = 0;
    assert_string_equal(ask()->not_before, "");
    rig_answer_key("KAAP.77");
    assert_string_equal(rig_aap("payments")->current->not_after, "2024-11-14T22:13:20Z");
}

static void a_key_with_a_later_beginning_is_only_saved(void **unused)
{
    ask();
    table_serve();
    number = rig_write("payments", RIG_PASSWORD " 2024-01-01T00:00:00Z 2025-01-01T00:00:00Z");
    assert_string_equal(rig_expect(RIG_CREATE, "payments")->not_before, "2024-01-01T00:00:00Z");
    rig_answer_key("KAAP.77");
    assert_int_equal(rig_result(number), 0);
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_int_equal(rig_published(PUBLISH_KEY), 2);
    assert_int_equal(rig_published(PUBLISH_GENERATION), 1);
    assert_true(registry_find_key(rig_aap("payments"), "KAAP.77")->scheduled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(each_step_comes_when_the_one_before_is_done),
        rig_test(of_one_that_kms_refuses_nothing_is_left),
        rig_test(of_one_whose_answer_is_lost_the_intent_stays),
        rig_test(what_cannot_be_opened_is_kept_and_not_shown),
        rig_test(one_that_has_expired_when_it_comes_is_rejected),
        rig_test(nothing_is_asked_for_that_there_is_no_room_to_keep),
        rig_test(a_key_that_comes_late_becomes_the_current_one_all_the_same),
        rig_test(another_process_does_not_make_a_second_one_at_once),
        rig_test(dates_that_were_chosen_by_a_wrong_clock_are_chosen_again_by_kmss),
        rig_test(without_a_validity_of_its_own_kms_chooses_the_dates),
        rig_test(a_key_with_a_later_beginning_is_only_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
