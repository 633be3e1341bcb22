/* First keys that nobody asks for, as first_key says: which AAP gets one, what each waits for, and what never leads to one. */
#include "fs/engine/engine.h"
#include "tests/unit/engine_rig.h"

/* The section's first_key; PAYMENTS is in KMS. */
static void configure(void)
{
    rig.config.defaults.first_key = FIRST_KEY_GENERATE;
    rig.config.defaults.expose_password = true;
    table_add("payments");
}

static const struct registry_rotation *rotation(void)
{
    return &rig_aap("payments")->rotation;
}

static void assert_none_is_made(void)
{
    table_serve();
    rig_pass(3600 * 1000);
    table_serve();
    assert_int_equal(table_find("payments")->creations, 0);
    assert_int_equal(table_count(table_find("payments")), 0);
}


/* PAYMENTS's keys are asked for. */
static void come_to_the_listing(void)
{
    rig_start();
    table_serve_until(RIG_LIST_KEYS);
}

/* The first key is asked for. */
static void come_to_the_creation(void)
{
    rig_start();
    table_serve_until(RIG_CREATE);
}

static void an_aap_without_a_key_makes_one(void **unused)
{
    configure();
    come_to_the_creation();
    assert_true(rotation()->first);
    assert_int_equal(rotation()->state, ROTATION_DUE);
    assert_int_equal(strlen(rig_request()->password), 32);
    table_serve();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_true(rig_has_logged("payments: created KAAP.1"));
    assert_true(rig_has_logged("by first_key = generate"));
    assert_false(rotation()->first);
    assert_int_equal(rotation()->state, ROTATION_PLANNED);
    rig_pass(3600 * 1000);
    table_serve();
    assert_int_equal(table_find("payments")->creations, 1);
    rig_stop(NULL);
    rig_start(); /* nor does the next worker */
    assert_false(rotation()->first);
    rig_pass(3600 * 1000);
    table_serve();
    assert_int_equal(table_find("payments")->creations, 1);
}

static void where_no_section_says_so_none_is_made(void **unused)
{
    configure();
    rig.config.defaults.first_key = FIRST_KEY_BY_HAND;
    rig_start();
    assert_none_is_made();
    assert_int_equal(rotation()->state, ROTATION_NONE);
}

static void none_is_made_before_kms_has_listed_the_keys(void **unused)
{
    configure();
    come_to_the_listing();
    rig_pass(1000);
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    rig_refuse(EAGAIN, "ServiceUnavailable", 503);
    rig_pass(4000);
    rig_expect_nothing();
    rig_pass(1000);
    rig_expect(RIG_LIST_KEYS, "payments");
    table_answer(FAULT_NONE);
    rig_settle();
    rig_expect(RIG_CREATE, "payments");
}

static void nor_while_another_aaps_are_listed(void **unused)
{
    configure();
    table_add("orders");
    come_to_the_listing(); /* one AAP after the other */
    engine_wake_all(rig.engine);
    rig_settle();
    assert_int_equal(rig_count_requests(RIG_LIST_KEYS), 1);
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    table_serve();
    assert_true(rig_aap("payments")->current && rig_aap("orders")->current);
}

/* What KMS had of one of that name says nothing. */
static void nor_of_one_that_was_made_anew(void **unused)
{
    configure();
    table_add("orders");
    rig.config.defaults.first_key = FIRST_KEY_BY_HAND;
    rig_start();
    table_serve();
    table_find("payments")->gone = true;
    rig_do(NULL, "sync");
    assert_null(registry_find_aap(rig.registry, "payments"));
    kms_table.aaps[0].gone = false;
    rig.config.defaults.first_key = FIRST_KEY_GENERATE;
    rig_write(NULL, "sync");
    table_serve_until(RIG_LIST_KEYS);
    rig_expect(RIG_LIST_KEYS, "orders");
    engine_wake_all(rig.engine);
    rig_settle();
    rig_expect(RIG_LIST_KEYS, "orders");
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    table_serve();
    assert_true(rig_aap("payments")->current);
}

/* The section gets its first_key when the last listing has failed so. */
static void assert_waits_after(const char *code, int number, long http_status)
{
    configure();
    rig.config.defaults.first_key = FIRST_KEY_BY_HAND;
    rig_start();
    table_serve();
    rig_write(NULL, "sync");
    table_serve_until(RIG_LIST_KEYS);
    rig_refuse(number, code, http_status);
    rig.config.defaults.first_key = FIRST_KEY_GENERATE;
    engine_wake_all(rig.engine);
    rig_settle();
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    rig_do(NULL, "sync");
    table_serve();
    assert_true(rig_shows("payments", "KAAP.1"));
}

static void nor_where_the_last_listing_failed(void **unused)
{
    assert_waits_after("ServiceUnavailable", EAGAIN, 503);
}

static void nor_where_it_is_not_permitted_any_more(void **unused)
{
    assert_waits_after("Forbidden.NoPermission", EACCES, 403);
}

static void nor_where_that_is_not_permitted(void **unused)
{
    configure();
    come_to_the_listing();
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    rig_forget_log();
    for (int i = 0; i < 20 && rotation()->state != ROTATION_FAILING; i++) {
        rig_pass(60 * 1000);
        while (rig_request()) {
            assert_int_not_equal(rig_request()->operation, RIG_CREATE);
            if (rig_request()->operation == RIG_LIST_KEYS)
                rig_refuse(EACCES, "Forbidden.NoPermission", 403);
            else
                table_answer(FAULT_NONE);
            rig_settle();
        }
    }
    assert_int_equal(rotation()->state, ROTATION_FAILING);
    assert_true(rig_has_logged("the creation of the first key cannot be begun: KMS has not listed this AAP's keys"));
}

static void nor_while_keys_that_it_lists_are_still_being_shown(void **unused)
{
    configure();
    table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2024-11-01T00:00:00Z");
    come_to_the_listing();
    rig.holds_publications = true;
    table_answer(FAULT_NONE);
    rig_settle();
    engine_wake_all(rig.engine); /* for another reason */
    rig_settle();
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    rig.holds_publications = false;
    while (rig.publications_ended < rig.publications_begun)
        rig_publish(0);
    table_serve();
    assert_true(rig_shows("payments", "KAAP.2"));
}

/* The account is that of the state directory; KMS tells it to nobody. */
static void nor_in_an_account_that_is_assumed(void **unused)
{
    configure();
    rig_save(&(struct rig_key){.aap_name = "orders", .client_key_id = "KAAP.90"}); /* and it has a store */
    rig_start();
    for (int i = 0; i < 20; i++) {
        while (rig_request()) {
            assert_int_not_equal(rig_request()->operation, RIG_CREATE);
            if (rig_request()->operation == RIG_DESCRIBE)
                rig_refuse(EACCES, "Forbidden.NoPermission", 403);
            else
                table_answer(FAULT_NONE);
            rig_settle();
        }
        rig_pass(40 * 1000);
    }
    assert_int_equal(rotation()->state, ROTATION_FAILING);
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "KMS does not tell whose account this is"));
    table_add("orders");
    rig_do("orders", RIG_PASSWORD); /* it may be asked by now */
    table_serve();
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void keys_made_elsewhere_fill_its_places(void **unused)
{
    configure();
    for (int i = 0; i < CONFIG_QUOTA_KEYS; i++)
        table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2024-11-01T00:00:00Z");
    rig_start();
    table_serve();
    assert_true(rotation()->no_place);
    rig_pass(1800 * 1000);
    table_serve();
    assert_int_equal(table_count(table_find("payments")), CONFIG_QUOTA_KEYS); /* and stay */
    assert_int_equal(rotation()->state, ROTATION_FAILING);
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "there is no place for it"));
    assert_int_equal(table_find("payments")->creations, 0);
    table_find("payments")->keys[0] = (struct table_key){0}; /* somebody deletes one */
    rig_do(NULL, "sync");
    table_serve();
    assert_true(rig_shows("payments", "KAAP.4"));
}

static void one_key_made_elsewhere_leaves_a_place(void **unused)
{
    configure();
    table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2024-11-01T00:00:00Z");
    rig_start();
    table_serve();
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void an_aap_that_had_a_key_gets_no_first_one(void **unused)
{
    configure();
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.90"}); /* KMS does not list it */
    rig_start();
    assert_none_is_made();
    assert_true(rig_aap("payments")->current->gone);
    assert_false(rotation()->first);
}

static void nor_where_the_record_cannot_be_read(void **unused)
{
    configure();
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.90"});
    rig_damage_file("payments/KAAP.90");
    rig_start();
    assert_none_is_made();
    assert_null(rig_aap("payments")->keys);
}

static void nor_one_that_is_used_with_a_ram_role(void **unused)
{
    const struct kms_aap listed = {.name = "payments", .authentication_method = "RAMRole"};
    configure();
    rig_start();
    rig_expect(RIG_LIST_AAPS, "");
    rig_answer(&(struct rig_result){.aaps = &listed, .count = 1});
    rig_answer_aap("RAMRole");
    rig_pass(1000);
    rig_expect_nothing();
    assert_false(rotation()->first);
}

/* The method is asked for where no listing has told it. */
static void nor_where_that_is_seen_late(void **unused)
{
    const struct kms_aap listed = {.name = "payments", .authentication_method = ""};
    configure();
    rig_start();
    rig_expect(RIG_LIST_AAPS, "");
    rig_answer(&(struct rig_result){.aaps = &listed, .count = 1});
    rig_answer_aap(""); /* whose */
    rig_expect(RIG_LIST_KEYS, "payments");
    table_answer(FAULT_NONE);
    rig_settle();
    rig_expect(RIG_DESCRIBE, "payments");
    rig_answer_aap("RAMRole");
    rig_pass(1800 * 1000);
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    assert_false(rotation()->first);
}

static void nor_one_that_kms_no_longer_has(void **unused)
{
    configure();
    table_add("orders");
    rig_name_aap("orders"); /* which tells the account */
    rig_name_aap("payments");
    table_find("payments")->gone = true;
    rig_start();
    table_serve();
    rig_pass(3600 * 1000);
    table_serve();
    assert_true(rig_aap("payments")->gone);
    assert_false(rotation()->first);
    assert_string_equal(rig_current("payments"), "");
    assert_true(rig_shows("orders", "KAAP.1"));
}

static void one_that_fails_is_said_and_tried_again(void **unused)
{
    configure();
    come_to_the_creation();
    rig_forget_log();
    rig_refuse(EAGAIN, "Throttling.User", 429);
    assert_int_equal(rotation()->state, ROTATION_FAILING);
    assert_true(rig_has_logged("payments: the creation of the first key failed: Throttling.User"));
    assert_string_equal(rig_aap("payments")->failure.error.code, "Throttling.User");
    rig_pass(700); /* a second less a quarter */
    rig_expect_nothing();
    rig_pass(300);
    rig_expect(RIG_CREATE, "payments");
    table_serve();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
}

/* The answer is lost: whether there is a key a listing a minute later tells. */
static void lose_the_first(enum table_fault fault)
{
    configure();
    come_to_the_creation();
    table_answer(fault);
    rig_settle();
}

static void no_second_one_is_made_while_the_first_ones_end_is_not_known(void **unused)
{
    lose_the_first(FAULT_BEFORE);
    rig_expect(RIG_LIST_KEYS, "payments");
    table_serve(); /* which knows of none yet */
    rig_pass(60 * 1000);
    table_serve();
    assert_int_equal(rig_count_files(".intent-"), 1);
    assert_int_equal(rig_aap("payments")->failure.error.number ? 1 : 0, 1);
    assert_null(rig_aap("payments")->current);
    rig_pass(30 * 1000); /* by now it does not come any more */
    table_serve();
    rig_pass(3600 * 1000);
    table_serve();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_int_equal(table_count(table_find("payments")), 1);
}

static void nor_is_it_by_the_next_worker(void **unused)
{
    lose_the_first(FAULT_BEFORE);
    rig_stop(NULL);
    rig_start();
    table_serve();
    rig_pass(30 * 1000);
    table_serve();
    assert_null(rig_aap("payments")->current);
}

static void what_it_brought_takes_its_place(void **unused)
{
    lose_the_first(FAULT_AFTER);
    table_serve();
    rig_pass(4000);
    table_serve();
    assert_true(registry_has_id(rig_aap("payments")->orphans, "KAAP.1"));
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_int_equal(table_count(table_find("payments")), 2);
}

static void another_hosts_key_is_no_doubt_for_ever(void **unused)
{
    lose_the_first(FAULT_BEFORE);
    table_make(table_find("payments"), "2023-11-14T00:00:00Z", "2024-11-01T00:00:00Z")->made = rig.now_ms / 1000 + 1;
    table_serve();
    assert_null(rig_aap("payments")->current);
    rig_pass(62 * 1000);
    table_serve();
    rig_pass(3600 * 1000);
    table_serve();
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void three_that_cannot_be_used_are_enough(void **unused)
{
    rig.config.defaults.max_keys = kms_table.quota = TABLE_KEYS;
    configure();
    rig_start();
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof(id), "KAAP.%d", i + 100);
        table_serve_until(RIG_CREATE);
        rig_answer_no_key(id);
        rig_pass(8000);
    }
    table_serve();
    assert_int_equal(rotation()->state, ROTATION_BLOCKED);
    rig_pass(3600 * 1000);
    table_serve();
    assert_null(rig_aap("payments")->current);
    rig_do("payments", "rotate"); /* somebody has mended it: by first_key, too */
    assert_true(rig_aap("payments")->current);
    assert_true(rig_has_logged("first_key = generate"));
}

static void nothing_is_deleted_for_a_fourth(void **unused)
{
    configure();
    rig_start();
    for (int i = 0; i < CONFIG_QUOTA_KEYS; i++) {
        table_serve_until(RIG_CREATE);
        table_answer(FAULT_AFTER);
        rig_settle();
        table_serve_until(RIG_LIST_KEYS);
        table_answer(FAULT_NONE);
        rig_settle();
        rig_pass(4000);
    }
    rig_pass(3600 * 1000);
    table_serve();
    assert_int_equal(rotation()->state, ROTATION_BLOCKED);
    assert_int_equal(kms_table.last_id, CONFIG_QUOTA_KEYS);
    assert_int_equal(table_count(table_find("payments")), CONFIG_QUOTA_KEYS);
    rig_do("payments", RIG_PASSWORD); /* somebody wants it */
    assert_true(rig_shows("payments", "KAAP.4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(an_aap_without_a_key_makes_one),
        rig_test(where_no_section_says_so_none_is_made),
        rig_test(none_is_made_before_kms_has_listed_the_keys),
        rig_test(nor_while_another_aaps_are_listed),
        rig_test(nor_of_one_that_was_made_anew),
        rig_test(nor_where_the_last_listing_failed),
        rig_test(nor_where_it_is_not_permitted_any_more),
        rig_test(nor_where_that_is_not_permitted),
        rig_test(nor_while_keys_that_it_lists_are_still_being_shown),
        rig_test(nor_in_an_account_that_is_assumed),
        rig_test(keys_made_elsewhere_fill_its_places),
        rig_test(one_key_made_elsewhere_leaves_a_place),
        rig_test(an_aap_that_had_a_key_gets_no_first_one),
        rig_test(nor_where_the_record_cannot_be_read),
        rig_test(nor_one_that_is_used_with_a_ram_role),
        rig_test(nor_where_that_is_seen_late),
        rig_test(nor_one_that_kms_no_longer_has),
        rig_test(one_that_fails_is_said_and_tried_again),
        rig_test(no_second_one_is_made_while_the_first_ones_end_is_not_known),
        rig_test(nor_is_it_by_the_next_worker),
        rig_test(what_it_brought_takes_its_place),
        rig_test(another_hosts_key_is_no_doubt_for_ever),
        rig_test(three_that_cannot_be_used_are_enough),
        rig_test(nothing_is_deleted_for_a_fourth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
