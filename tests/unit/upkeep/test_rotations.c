/* Rotations that nobody asks for: when one begins, what a failed one leads to, and when no more is made. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1, whose rotation is far ahead. */
static void start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
}

static const struct registry_rotation *rotation(void)
{
    return &rig_aap("payments")->rotation;
}

/* The rotation is due, by clocks that are read in whole seconds: KMS is being asked. */
static void come_due(void)
{
    rig_jump_to(rotation()->next + 1);
    table_serve_until(RIG_CREATE);
}

static void a_key_is_replaced_when_its_time_comes(void **unused)
{
    start();
    int64_t due = rotation()->next;
    assert_int_equal(rotation()->state, ROTATION_PLANNED);
    rig_jump_to(due - 1);
    table_serve();
    assert_true(rig_shows("payments", "KAAP.1"));
    come_due();
    assert_int_equal(rotation()->state, ROTATION_DUE);
    assert_string_equal(rig_request()->password, RIG_PASSWORD); /* as password_source says */
    table_serve();
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_true(rotation()->next > due);
    assert_int_equal(rotation()->state, ROTATION_PLANNED);
    assert_true(rig_has_logged("rotated from KAAP.1 to KAAP.2"));
}

static void the_one_that_ends_first_goes_first(void **unused)
{
    const int64_t made = INT64_C(1672617600); /* 2023-01-02 */
    rig_save(&(struct rig_key){"payments", "KAAP.1", "2023-01-01T00:00:00Z", "2023-12-10T00:00:00Z", .made = made});
    rig_save(&(struct rig_key){"orders", "KAAP.2", "2023-01-01T00:00:00Z", "2023-12-20T00:00:00Z", .made = made});
    table_add("payments");
    table_add("orders");
    rig_start();
    table_serve_until(RIG_CREATE);
    assert_true(rig_aap("orders")->number < rig_aap("payments")->number);
    rig_expect(RIG_CREATE, "payments");
    rig_postpone();
    rig_expect(RIG_CREATE, "orders");
}

static void one_that_fails_is_said_once_and_tried_again(void **unused)
{
    start();
    come_due();
    rig_refuse(EAGAIN, "Throttling.User", 429);
    assert_int_equal(rotation()->state, ROTATION_FAILING);
    assert_true(rig_has_logged("payments: the rotation that is due failed: Throttling.User"));
    rig_forget_log();
    rig_pass(700); /* a second less a quarter */
    rig_expect_nothing();
    rig_pass(300);
    rig_expect(RIG_CREATE, "payments");
    rig_refuse(EAGAIN, "Throttling.User", 429);
    assert_int_equal(rig_warnings(), 0);
    rig_pass(1400);
    rig_expect_nothing();
    rig_do(NULL, "rotate-due"); /* now */
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_int_equal(rotation()->state, ROTATION_PLANNED);
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
}

static void after_three_that_left_a_key_of_no_use_somebody_is_waited_for(void **unused)
{
    rig.config.defaults.max_keys = kms_table.quota = TABLE_KEYS;
    start();
    come_due();
    for (unsigned int i = 0; i < 3; i++) {
        rig_expect(RIG_CREATE, "payments");
        table_answer(FAULT_AFTER); /* there is a key, of which nothing is known here */
        rig_settle();
        rig_pass(4000);
        rig_expect(RIG_LIST_KEYS, "payments");
        assert_int_equal(rig_count_requests(RIG_CREATE), 0); /* before that is answered */
        table_answer(FAULT_NONE);
        rig_settle();
        assert_int_equal(rotation()->state, i < 2 ? ROTATION_FAILING : ROTATION_BLOCKED);
    }
    assert_true(rig_has_logged("payments: 3 client keys in a row could not be used"));
    rig_pass(1800 * 1000);
    rig_expect_nothing();
    rig_write("payments", "rotate");
    rig_expect(RIG_CREATE, "payments");
    rig_refuse(EAGAIN, "Throttling.User", 429); /* what failed before somebody asked counts no more */
    assert_int_equal(rotation()->state, ROTATION_FAILING);
    rig_pass(4000);
    table_serve();
    assert_int_equal(rotation()->state, ROTATION_PLANNED);
    assert_true(rig_shows("payments", "KAAP.5"));
}

/* KMS makes a key that is to be replaced at once. */
static void answer_uselessly(void)
{
    struct table_key *made = table_make(table_find("payments"), "2022-12-01T00:00:00Z", "2024-08-01T00:00:00Z");
    const struct kms_client_key key = {.client_key_id = made->name, .key_algorithm = "RSA_2048", .private_key_data = RIG_KEY,
                                       .not_before = made->not_before, .not_after = made->not_after};
    rig_expect(RIG_CREATE, "payments");
    rig_answer(&(struct rig_result){.keys = &key});
    rig_pass(4000);
}

static void keys_that_are_due_when_they_come_are_no_use_either(void **unused)
{
    rig.config.defaults.max_keys = kms_table.quota = TABLE_KEYS;
    start();
    come_due();
    for (int i = 0; i < 3; i++)
        answer_uselessly();
    rig_expect_nothing();
    assert_int_equal(rotation()->state, ROTATION_BLOCKED);
    assert_string_equal(rig_aap("payments")->failure.error.code, "KeyOfNoUse");
    rig_stop(NULL);
    rig_forget_log();
    rig_start(); /* the next worker counts them, too */
    table_serve();
    assert_int_equal(rotation()->state, ROTATION_BLOCKED);
    assert_true(rig_has_logged("payments: 3 client keys in a row could not be used"));
    rig_do("payments", "rotate");
    assert_int_equal(rotation()->state, ROTATION_PLANNED);
}

static void for_those_no_superseded_key_is_deleted(void **unused)
{
    start();
    come_due();
    answer_uselessly();
    answer_uselessly();
    table_serve(); /* all places are filled */
    rig_pass(1800 * 1000);
    rig_expect_nothing();
    assert_int_equal(rotation()->state, ROTATION_BLOCKED);
    assert_int_equal(table_count(table_find("payments")), 3);
}

static void nor_where_nobody_uses_it(void **unused)
{
    strcpy(rig.config.defaults.on_rotate, "none");
    for_those_no_superseded_key_is_deleted(unused);
}

static void one_that_waits_for_a_listing_is_a_failure_too(void **unused)
{
    start();
    come_due();
    rig_lose(); /* KMS is to tell what came of that */
    rig_stop(NULL);
    rig_start();
    table_serve_until(RIG_LIST_KEYS);
    rig_pass(600 * 1000 + 1000);
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    assert_int_equal(rotation()->state, ROTATION_FAILING);
    assert_string_equal(rig_aap("payments")->failure.error.code, "Waiting");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "KMS does not list this AAP's keys"));
    table_serve();
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void one_that_cannot_be_begun_is_a_failure_too(void **unused)
{
    start();
    int64_t due = rotation()->next;
    rig_stop(NULL);
    rig.now_ms = due * 1000;
    rig_start();
    assert_int_equal(rotation()->state, ROTATION_DUE);
    assert_int_equal(rig_request()->operation, RIG_LIST_AAPS); /* which KMS does not answer */
    rig_pass(10 * 60 * 1000 - 1000);
    assert_int_equal(rotation()->state, ROTATION_DUE);
    rig_pass(1000);
    assert_int_equal(rotation()->state, ROTATION_FAILING);
    assert_string_equal(rig_aap("payments")->failure.error.code, "Waiting");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "KMS has not told whose account this is"));
    table_serve();
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void without_a_key_there_is_nothing_to_rotate(void **unused)
{
    table_add("payments");
    rig_start();
    table_serve();
    assert_int_equal(rotation()->state, ROTATION_NONE);
    rig_assert_failed(rig_write("payments", "rotate"), "payments", -ENOENT, "NoKey");
    rig_expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(a_key_is_replaced_when_its_time_comes),
        rig_test(the_one_that_ends_first_goes_first),
        rig_test(one_that_fails_is_said_once_and_tried_again),
        rig_test(after_three_that_left_a_key_of_no_use_somebody_is_waited_for),
        rig_test(keys_that_are_due_when_they_come_are_no_use_either),
        rig_test(for_those_no_superseded_key_is_deleted),
        rig_test(nor_where_nobody_uses_it),
        rig_test(one_that_waits_for_a_listing_is_a_failure_too),
        rig_test(one_that_cannot_be_begun_is_a_failure_too),
        rig_test(without_a_key_there_is_nothing_to_rotate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
