/* Client keys that were made elsewhere come and go with the listings, and the next worker has them at once. */
#include "tests/unit/engine_rig.h"

static void start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
}

/* By somebody else. */
static struct table_key *make(void)
{
    return table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2024-11-01T00:00:00Z");
}

static const struct registry_key *find(const char *id)
{
    return registry_find_foreign(rig_aap("payments"), id);
}

static unsigned int count(void)
{
    unsigned int found = 0;
    for (const struct registry_key *key = rig_aap("payments")->foreign; key; key = key->next)
        found++;
    return found;
}

/* KMS lists these keys. */
static void list(const struct kms_client_key *keys, size_t key_count)
{
    rig_write(NULL, "sync");
    table_serve_until(RIG_LIST_KEYS);
    rig_answer_keys(keys, key_count);
}

static struct kms_client_key listed(const char *id)
{
    return (struct kms_client_key){.client_key_id = id, .key_algorithm = "RSA_2048", .not_before = "2023-11-01T00:00:00Z",
                                   .not_after = "2024-11-01T00:00:00Z", .create_time = "2023-11-02T00:00:00Z",
                                   .public_key_data = "", .aap_name = "payments"};
}

static void what_is_listed_and_not_ours_is_shown(void **unused)
{
    start();
    make();
    rig_do("payments", RIG_PASSWORD); /* KAAP.2, ours */
    rig_write("payments", RIG_PASSWORD);
    table_answer(FAULT_AFTER); /* KAAP.3, ours and lost */
    table_serve();
    rig_do(NULL, "sync");
    assert_true(registry_has_id(rig_aap("payments")->orphans, "KAAP.3"));
    assert_non_null(find("KAAP.1"));
    assert_string_equal(find("KAAP.1")->not_after, "2024-11-01T00:00:00Z");
    assert_true(numbers_key(rig.numbers, find("KAAP.1")->number)->shown);
    assert_int_equal(count(), 1);
    assert_int_equal(rig_published(PUBLISH_REMOVE_KEY), 0); /* nor was the lost one shown for a moment */
}

static void what_is_listed_no_more_goes(void **unused)
{
    start();
    struct table_key *his = make();
    rig_do(NULL, "sync");
    uint32_t number = find("KAAP.1")->number;
    his->id = 0;
    rig.holds_publications = true;
    rig_write(NULL, "sync");
    table_serve();
    assert_int_equal(rig_published(PUBLISH_REMOVE_KEY), 1);
    assert_non_null(find("KAAP.1")); /* until its directory has gone */
    rig_publish(0);
    assert_null(find("KAAP.1"));
    assert_false(numbers_key(rig.numbers, number)->shown);
}

static void the_next_worker_has_them_before_any_listing(void **unused)
{
    start();
    make();
    rig_do(NULL, "sync");
    uint32_t number = find("KAAP.1")->number;
    rig_stop(NULL);
    rig_start();
    assert_int_equal(find("KAAP.1")->number, number);
    assert_string_equal(find("KAAP.1")->not_before, "2023-11-01T00:00:00Z");
    assert_int_equal(rig.publications_begun, 0);
}

static void texts_that_make_no_sense_are_not_shown(void **unused)
{
    struct kms_client_key keys[] = {listed("../KAAP.1"), listed(".KAAP.1"), listed(""), listed("KAAP.4")};
    keys[3].key_algorithm = "a b";
    keys[3].not_after = "tomorrow";
    start();
    list(keys, 4);
    assert_int_equal(count(), 1);
    assert_string_equal(find("KAAP.4")->not_after, "");
    assert_null(find("KAAP.4")->files[KEY_FILE_KEY_ALGORITHM].data);
}

static void of_a_listing_that_is_endless_a_thousand_are_shown(void **unused)
{
    static struct kms_client_key keys[1010];
    static char ids[1010][16];
    for (size_t i = 0; i < 1010; i++) {
        snprintf(ids[i], sizeof(ids[i]), "KAAP.%zu", i);
        keys[i] = listed(ids[i]);
    }
    start();
    list(keys, 1010);
    assert_int_equal(count(), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(what_is_listed_and_not_ours_is_shown),
        rig_test(what_is_listed_no_more_goes),
        rig_test(the_next_worker_has_them_before_any_listing),
        rig_test(texts_that_make_no_sense_are_not_shown),
        rig_test(of_a_listing_that_is_endless_a_thousand_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
