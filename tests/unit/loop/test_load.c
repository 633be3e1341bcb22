/* What a worker begins with: the registry as the store, the configuration and the mount memory have it. */
#include "fs/model/schedule.h"
#include "tests/unit/engine_rig.h"

static void the_first_worker_shows_what_it_loads_without_a_publication(void **unused)
{
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1", .made = 1000});
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.3", .made = 3000});
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.2", .made = 2000});
    rig_save(&(struct rig_key){.aap_name = "orders", .client_key_id = "KAAP.4", .made = 4000});
    rig_start();
    assert_true(rig_shows("payments", "KAAP.3"));
    assert_true(rig_shows("orders", "KAAP.4"));
    const struct registry_aap *aap = rig_aap("payments");
    assert_string_equal(aap->keys->next->client_key_id, "KAAP.2");
    assert_string_equal(aap->keys->next->next->client_key_id, "KAAP.1");
    assert_int_equal(numbers_generation(rig.numbers, aap->generation)->made_ns, INT64_C(3000000000000));
    /* there is no certificate: its name shows nothing */
    assert_int_equal(numbers_aap(rig.numbers, aap->number)->published[PUBLISHED_CERTIFICATE_PEM], 0);
    assert_int_equal(rig.publications_begun, 0);
}

static void what_does_not_open_is_rejected_and_not_shown(void **unused)
{
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1", .made = 1000});
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.2", .made = 2000, .private_key_data = RIG_NO_KEY});
    rig_start();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_true(registry_has_id(rig_aap("payments")->rejected, "KAAP.2"));
    assert_int_equal(rig_count_files("payments/KAAP.2"), 1); /* it is kept */
}

static void what_is_judged_at_the_start_need_not_be_again(void **unused)
{
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1", .private_key_data = RIG_KEY});
    assert_int_equal(rig_count_files("payments/.KAAP.1.forms"), 0);
    rig_start();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_int_equal(rig_count_files("payments/.KAAP.1.forms"), 1);
}

static void a_damaged_record_is_counted_and_others_are_none_the_worse(void **unused)
{
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1"});
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.2", .made = RIG_BEGIN + 1});
    rig_damage_file("payments/KAAP.2");
    rig_start();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_int_equal(registry_mount(rig.registry)->damaged, 1);
    assert_true(rig_has_logged("payments/KAAP.2"));
    assert_true(rig_has_logged("it stays where it is"));
    assert_int_equal(rig_count_files("payments/KAAP.2"), 1);
}

static void a_scheduled_key_is_the_current_one_from_when_it_begins(void **unused)
{
    const struct rig_key scheduled = {.aap_name = "payments", .client_key_id = "KAAP.2", .not_before = "2023-11-15T00:00:00Z",
                                      .made = RIG_BEGIN + 1, .dates_given = true, .scheduled = true};
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1"});
    rig_save(&scheduled);
    rig_start();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_int_equal(schedule_next_begin(rig_aap("payments"), RIG_BEGIN), INT64_C(1700006400));
    rig_stop(NULL);
    rig.now_ms = INT64_C(1700006400) * 1000 + 5000;
    rig.first = true;
    rig_start();
    assert_string_equal(rig_current("payments"), "KAAP.2");
    /* its files say since when */
    assert_int_equal(numbers_generation(rig.numbers, rig_aap("payments")->generation)->made_ns, INT64_C(1700006400000000000));
}

static void aaps_need_no_listing_where_they_are_named_or_were_listed(void **unused)
{
    table_add("payments");
    rig_start();
    table_serve();
    uint32_t number = rig_aap("payments")->number;
    rig_stop(NULL);
    rig_name_aap("orders");
    rig_start();
    assert_int_equal(rig_aap("payments")->number, number);
    assert_int_equal(rig_aap("orders")->number, number + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(the_first_worker_shows_what_it_loads_without_a_publication),
        rig_test(what_does_not_open_is_rejected_and_not_shown),
        rig_test(what_is_judged_at_the_start_need_not_be_again),
        rig_test(a_damaged_record_is_counted_and_others_are_none_the_worse),
        rig_test(a_scheduled_key_is_the_current_one_from_when_it_begins),
        rig_test(aaps_need_no_listing_where_they_are_named_or_were_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
