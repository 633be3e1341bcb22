/* Whose keys are served: nothing is made or listed before KMS has told, and nothing for somebody else. */
#include "tests/unit/engine_rig.h"

#define OTHER_ACCOUNT "acs:kms:" RIG_REGION ":1990000000000000:applicationaccesspoint/a"
#define OTHER_REGION "acs:kms:cn-beijing:" RIG_ACCOUNT ":applicationaccesspoint/a"

/* An engine on a store, or on none, whose first sync asks for the account. */
static void start(bool has_store)
{
    rig.config.defaults.max_keys = kms_table.quota = TABLE_KEYS;
    table_add("orders");
    table_add("payments");
    if (has_store) {
        rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1"});
        table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2099-11-24T00:00:00Z");
    }
    rig_start();
    table_serve_until(RIG_DESCRIBE);
}

static const char *served(void)
{
    return registry_mount(rig.registry)->account;
}

/* A password that is written to PAYMENTS is refused with CODE, and nothing is asked. */
static void assert_refused(int result, const char *code)
{
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", result, code);
}

static void the_first_account_that_is_learnt_gets_a_store(void **unused)
{
    start(false);
    assert_string_equal(served(), "");
    assert_int_equal(rig_count_files(".check"), 0);
    rig_answer_aap(NULL);
    assert_string_equal(served(), RIG_ACCOUNT);
    assert_int_equal(rig_count_files(".check"), 1);
    rig_expect(RIG_LIST_KEYS, "orders");
}

static void nothing_is_made_or_listed_for_another_account(void **unused)
{
    start(true);
    rig_answer_arn(OTHER_ACCOUNT);
    rig_expect_nothing();
    assert_refused(-EACCES, "OtherAccount");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "1990000000000000"));
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, RIG_ACCOUNT));
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_string_equal(served(), RIG_ACCOUNT);
}

static void nothing_is_made_in_another_region_however_often_it_is_asked_for(void **unused)
{
    start(true);
    rig_answer_arn(OTHER_REGION);
    assert_refused(-EACCES, "OtherRegion");
    assert_refused(-EACCES, "OtherRegion");
}

static void an_answer_that_names_no_account_says_nothing(void **unused)
{
    start(true);
    rig_answer_arn("acs:kms:nonsense");
    rig_expect_nothing(); /* not listed */
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_DESCRIBE, "payments");
    rig_answer_arn("acs:kms:nonsense");
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EIO, "Answer.Malformed");
}

static void where_describe_is_forbidden_the_stores_account_is_taken_for_ours_and_asked_for_again(void **unused)
{
    start(true);
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    assert_true(rig_has_logged("taken to be of the account " RIG_ACCOUNT));
    rig_expect(RIG_LIST_KEYS, "payments");
    table_serve();
    rig_forget_log();
    rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_DESCRIBE, "payments");
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    rig_expect(RIG_CREATE, "payments");
    assert_false(rig_has_logged("taken to be")); /* once is enough */
    table_serve();
    rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_DESCRIBE, "payments");
    rig_answer_aap(NULL); /* it is permitted now: nobody asks any more */
    table_serve();
    rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_CREATE, "payments");
}

/* It is permitted to ask now, and the answer is that Arn: each time that somebody wants a key. */
static void assert_told(const char *arn, int result, const char *code)
{
    start(true);
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    table_serve();
    for (int i = 0; i < 3; i++) {
        uint64_t number = rig_write("payments", RIG_PASSWORD);
        if (rig_request()) {
            rig_expect(RIG_DESCRIBE, "payments");
            rig_answer_arn(arn);
        }
        rig_expect_nothing();
        rig_assert_failed(number, "payments", result, code);
    }
    rig_do(NULL, "sync"); /* which tells that it is ours all the same */
    rig_do("payments", RIG_PASSWORD);
}

static void that_it_is_another_region_holds_each_time(void **unused)
{
    assert_told(OTHER_REGION, -EACCES, "OtherRegion");
}

static void that_it_is_nonsense_holds_each_time(void **unused)
{
    assert_told("nonsense", -EIO, "Answer.Malformed");
}

static void without_a_store_nothing_is_made_where_describe_is_forbidden(void **unused)
{
    start(false);
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_DESCRIBE, "payments");
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EACCES, "Forbidden.NoPermission");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "permit kms:DescribeApplicationAccessPoint"));
    assert_int_equal(rig_count_files(".check"), 0);
}

static void creations_wait_for_a_sync_that_asks_already(void **unused)
{
    start(true);
    rig_write("payments", RIG_PASSWORD);
    rig_answer_aap(NULL); /* the sync's */
    /* whether this AAP has client keys is worth a question, and no long one */
    assert_true(rig_expect(RIG_DESCRIBE, "payments")->timeout_ms <= 3000);
    rig_lose();
    table_serve_until(RIG_CREATE);
}

static void where_the_syncs_request_fails_each_creation_asks_itself(void **unused)
{
    start(true);
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    rig_expect(RIG_DESCRIBE, "orders");
    rig_lose();
    rig_expect(RIG_DESCRIBE, "payments");
    assert_false(rig_is_answered(number));
    rig_answer_aap(NULL);
    rig_expect(RIG_CREATE, "payments");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(the_first_account_that_is_learnt_gets_a_store),
        rig_test(nothing_is_made_or_listed_for_another_account),
        rig_test(nothing_is_made_in_another_region_however_often_it_is_asked_for),
        rig_test(an_answer_that_names_no_account_says_nothing),
        rig_test(where_describe_is_forbidden_the_stores_account_is_taken_for_ours_and_asked_for_again),
        rig_test(that_it_is_another_region_holds_each_time),
        rig_test(that_it_is_nonsense_holds_each_time),
        rig_test(without_a_store_nothing_is_made_where_describe_is_forbidden),
        rig_test(creations_wait_for_a_sync_that_asks_already),
        rig_test(where_the_syncs_request_fails_each_creation_asks_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
