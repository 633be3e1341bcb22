/* A worker's successor: which names it publishes again, and what waits for that. */
#include "tests/unit/engine_rig.h"

static void a_successor_goes_on_with_the_numbers_that_are_there(void **unused)
{
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1", .made = 1000});
    rig_start();
    rig_stop(NULL);
    rig_start();
    assert_int_equal(rig_aap("payments")->generation, 1);
    assert_int_equal(rig.publications_begun, 0);
    rig_stop(NULL);
    /* a key that was saved and not published: a new generation, its directory first */
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.2", .made = 2000});
    rig_start();
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_int_equal(rig.publications_begun, 2);
    assert_int_equal(rig.publications[0].kind, PUBLISH_KEY);
    assert_int_equal(rig.publications[1].kind, PUBLISH_GENERATION);
    assert_int_equal(rig.publications[1].number, 2);
}

static void what_was_half_published_is_published_as_another_generation(void **unused)
{
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1", .made = 1000});
    rig_start();
    rig_stop(NULL);
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.2", .made = 2000});
    rig_start();
    rig_stop(NULL);
    /* some of its nodes are known */
    struct numbered_aap *numbered = numbers_aap(rig.numbers, 1);
    numbered->settled_generation = 1;
    numbered->published[PUBLISHED_NOT_AFTER] = 1;
    rig_start();
    assert_true(rig_shows("payments", "KAAP.2"));
    assert_int_equal(rig.publications_begun, 1);
    assert_int_equal(rig.publications[0].number, 3);
    assert_true(numbers_generation(rig.numbers, 3)->made_ns > numbers_generation(rig.numbers, 2)->made_ns);
}

static void a_new_aap_is_published_whole(void **unused)
{
    static const enum publish_kind kinds[] = {PUBLISH_AAP, PUBLISH_KEY, PUBLISH_GENERATION};
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1"});
    rig.first = false;
    rig.holds_publications = true;
    rig_start();
    rig_publish(0);
    assert_int_equal(rig.publications_begun, 2); /* the names come when what they lead to is there */
    rig_publish(0);
    assert_int_equal(rig.publications_begun, 3);
    for (unsigned int i = 0; i < 3; i++)
        assert_int_equal(rig.publications[i].kind, kinds[i]);
    rig_publish(0);
    assert_true(rig_shows("payments", "KAAP.1"));
}

static void names_that_the_kernel_does_not_keep_show_the_newest_before_they_are_published(void **unused)
{
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1", .made = 1000});
    rig_start();
    rig_stop(NULL);
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.2", .made = 2000});
    numbers_key(rig.numbers, numbers_add_key(rig.numbers, 1, "KAAP.2"))->shown = true;
    rig.holds_publications = true;
    rig_start();
    assert_false(rig_shows("payments", "KAAP.2")); /* the kernel may believe what they showed for long */
    assert_int_equal(numbers_aap(rig.numbers, 1)->published[PUBLISHED_CURRENT], 1);
    rig_stop(NULL);
    numbers_aap(rig.numbers, 1)->loose = true;
    rig_start();
    assert_int_not_equal(numbers_aap(rig.numbers, 1)->published[PUBLISHED_CURRENT], 1);
}

static void an_aap_that_was_on_its_way_out_goes(void **unused)
{
    table_add("payments");
    rig_start();
    table_serve();
    uint32_t number = rig_aap("payments")->number;
    rig_stop(NULL);
    numbers_aap(rig.numbers, number)->removed = true;
    rig_start();
    assert_int_equal(rig_published(PUBLISH_REMOVE_AAP), 1);
    assert_null(registry_find_aap(rig.registry, "payments"));
    assert_false(numbers_aap(rig.numbers, number)->settled);
}

static void a_write_waits_until_its_aap_has_caught_up(void **unused)
{
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1"});
    rig.first = false;
    rig.holds_publications = true;
    rig.config.request_timeout_ms = 1000;
    rig_start();
    uint64_t late = rig_write("payments", "delete KAAP.1"); /* which would be refused */
    assert_false(rig_is_answered(late));
    rig_pass(2000);
    assert_int_equal(rig_result(late), -ETIMEDOUT);
    uint64_t number = rig_write("payments", "reloaded");
    rig_publish(0);
    rig_publish(0);
    assert_false(rig_is_answered(number));
    rig_publish(0);
    assert_int_equal(rig_result(number), 0);
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(a_successor_goes_on_with_the_numbers_that_are_there),
        rig_test(what_was_half_published_is_published_as_another_generation),
        rig_test(a_new_aap_is_published_whole),
        rig_test(names_that_the_kernel_does_not_keep_show_the_newest_before_they_are_published),
        rig_test(an_aap_that_was_on_its_way_out_goes),
        rig_test(a_write_waits_until_its_aap_has_caught_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
