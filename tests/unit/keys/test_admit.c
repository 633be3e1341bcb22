/* A key comes in: before the readers its directory first, then the names, then the applications. */
#include "tests/unit/engine_rig.h"

static uint64_t number; /* of the write */

/* An engine; PAYMENTS has KAAP.1, and KAAP.7 has come. */
static void bring(void)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    number = rig_write("payments", RIG_PASSWORD);
    rig.holds_publications = true;
    rig_answer_key("KAAP.7");
}

static enum publish_kind next(void)
{
    return rig.publications[rig.publications_ended % RIG_PUBLICATIONS].kind;
}

static void the_applications_are_told_when_every_name_shows_it(void **unused)
{
    strcpy(rig.config.defaults.on_rotate, "reload");
    bring();
    assert_int_equal(next(), PUBLISH_KEY);
    rig_publish(0);
    assert_int_equal(next(), PUBLISH_GENERATION);
    assert_int_equal(rig.runs_begun, 0);
    rig_publish(0);
    assert_int_equal(rig_result(number), 0);
    assert_int_equal(rig.runs_begun, 1);
    assert_string_equal(rig.runs[0].client_key_id, "KAAP.7");
}

static void without_its_directory_no_name_leads_to_it(void **unused)
{
    bring();
    rig_publish(-EIO);
    rig_assert_failed(number, "payments", -EIO, "Publication");
    assert_int_equal(rig_published(PUBLISH_GENERATION), 1); /* KAAP.1's */
    assert_int_equal(rig_count_files("payments/KAAP.7"), 1);
    rig_stop(NULL);
    rig.holds_publications = false;
    rig_start(); /* the next worker shows it */
    assert_true(rig_shows("payments", "KAAP.7"));
}

static void where_the_names_do_not_move_that_is_told(void **unused)
{
    bring();
    rig_publish(0);
    rig_publish(-EIO);
    rig_assert_failed(number, "payments", -EIO, "Publication");
    assert_false(rig_aap("payments")->busy);
}

static void one_that_nobody_asked_for_and_that_is_to_be_replaced_at_once_is_a_failure(void **unused)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    rig_jump_to(rig_aap("payments")->rotation.next + 1);
    rig_expect(RIG_CREATE, "payments");
    const struct kms_client_key old = {.client_key_id = "KAAP.7", .key_algorithm = "RSA_2048", .private_key_data = RIG_KEY,
                                       .not_before = "2023-01-01T00:00:00Z", .not_after = "2024-11-01T00:00:00Z"};
    rig_answer(&(struct rig_result){.keys = &old});
    assert_true(rig_shows("payments", "KAAP.7")); /* it is there all the same */
    assert_string_equal(rig_aap("payments")->failure.error.code, "KeyOfNoUse");
    assert_int_equal(rig_aap("payments")->rotation.state, ROTATION_FAILING);
}

static void one_that_begins_later_than_it_was_asked_to_replaces_none(void **unused)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    number = rig_write("payments", RIG_PASSWORD);
    const struct kms_client_key later = {.client_key_id = "KAAP.7", .key_algorithm = "RSA_2048", .private_key_data = RIG_KEY,
                                         .not_before = "2023-12-14T00:00:00Z", .not_after = "2024-12-14T00:00:00Z"};
    rig_answer(&(struct rig_result){.keys = &later});
    rig_assert_failed(number, "payments", -EKEYREJECTED, "KeyOfNoUse");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "is not valid yet"));
    assert_true(rig_shows("payments", "KAAP.1"));
    const struct registry_key *key = registry_find_key(rig_aap("payments"), "KAAP.7");
    assert_true(key->scheduled && numbers_key(rig.numbers, key->number)->shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(the_applications_are_told_when_every_name_shows_it),
        rig_test(without_its_directory_no_name_leads_to_it),
        rig_test(where_the_names_do_not_move_that_is_told),
        rig_test(one_that_nobody_asked_for_and_that_is_to_be_replaced_at_once_is_a_failure),
        rig_test(one_that_begins_later_than_it_was_asked_to_replaces_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
