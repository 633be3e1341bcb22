/* An AAP that leaves the mount: when, in which order, and what it is if it comes again. */
#include "fs/engine/engine.h"
#include "tests/unit/engine_rig.h"

/* An engine; nothing is here of ORDERS, and PAYMENTS has KAAP.1 and KAAP.2. */
static void start(void)
{
    table_add("orders");
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD);
}

static bool is_there(const char *aap_name)
{
    return registry_find_aap(rig.registry, aap_name);
}

static void its_directory_goes_first(void **unused)
{
    start();
    struct numbered_aap *numbered = numbers_aap(rig.numbers, rig_aap("orders")->number);
    table_find("orders")->gone = true;
    rig.holds_publications = true;
    rig_write(NULL, "sync");
    table_serve();
    assert_int_equal(rig.publications[rig.publications_ended].kind, PUBLISH_REMOVE_AAP);
    assert_true(is_there("orders"));
    assert_true(numbered->removed); /* for a worker that takes over now */
    assert_true(numbered->settled);
    rig_publish(0);
    assert_false(is_there("orders"));
    assert_false(numbered->settled);
}

static void one_that_comes_again_is_another_directory_of_the_same_number(void **unused)
{
    start();
    uint32_t number = rig_aap("orders")->number;
    table_find("orders")->gone = true;
    rig_do(NULL, "sync");
    uint32_t removals = numbers_aap(rig.numbers, number)->removals;
    assert_true(removals > 0);
    kms_table.aaps[0].gone = false;
    rig_do(NULL, "sync");
    assert_int_equal(rig_aap("orders")->number, number);
    assert_true(numbers_aap(rig.numbers, number)->shown);
    assert_int_equal(numbers_aap(rig.numbers, number)->removals, removals);
}

static void it_stays_while_anything_of_it_is_under_way(void **unused)
{
    start();
    rig_write("orders", RIG_PASSWORD);
    rig_expect(RIG_CREATE, "orders");
    rig_write(NULL, "sync");
    rig_postpone();
    table_find("orders")->gone = true;
    rig_expect(RIG_LIST_AAPS, "");
    table_answer(FAULT_NONE);
    rig_settle();
    assert_true(is_there("orders"));
    rig_expect(RIG_CREATE, "orders");
    rig_refuse(ENOENT, "Forbidden.ResourceNotFound", 404);
    table_serve();
    rig_do(NULL, "sync");
    assert_false(is_there("orders"));
}

static void nor_does_it_leave_while_a_key_of_it_is_deleted_by_itself(void **unused)
{
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    start();
    rig_jump_to(registry_find_key(rig_aap("payments"), "KAAP.1")->not_after_time + 1);
    rig_expect(RIG_DELETE, "KAAP.1");
    table_find("payments")->gone = true;
    rig_assert_failed(rig_write(NULL, "forget payments"), NULL, -EBUSY, "Busy");
    assert_true(is_there("payments"));
    table_serve();
    rig_do(NULL, "forget payments");
    assert_false(is_there("payments"));
}

static void no_rotation_begins_while_it_leaves(void **unused)
{
    start();
    int64_t due = rig_aap("payments")->rotation.next;
    /* others are asked for until 20 s after that */
    rig.engine->pace.spent_until_ms = clock_monotonic_ms() + due * 1000 - rig.now_ms + 20 * 1000;
    rig_jump_to(due + 1);
    assert_int_equal(rig_aap("payments")->rotation.state, ROTATION_DUE);
    rig_expect_nothing();
    table_find("payments")->gone = true;
    rig.holds_publications = true;
    rig_write(NULL, "forget payments");
    table_serve();
    assert_int_equal(rig_published(PUBLISH_REMOVE_AAP), 1);
    rig_pass(60 * 1000);
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    rig.holds_publications = false;
    rig_settle();
    assert_false(is_there("payments"));
}

static void whoever_holds_a_file_of_it_open_is_told(void **unused)
{
    start();
    table_find("payments")->gone = true;
    rig_do(NULL, "forget payments");
    assert_false(is_there("payments"));
    assert_int_equal(rig_published(PUBLISH_REMOVE_AAP), 1);
    assert_int_equal(rig_published(PUBLISH_GENERATION_ATTRIBUTES), 1);
    assert_int_equal(rig_published(PUBLISH_KEY_ATTRIBUTES), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(its_directory_goes_first),
        rig_test(one_that_comes_again_is_another_directory_of_the_same_number),
        rig_test(it_stays_while_anything_of_it_is_under_way),
        rig_test(nor_does_it_leave_while_a_key_of_it_is_deleted_by_itself),
        rig_test(no_rotation_begins_while_it_leaves),
        rig_test(whoever_holds_a_file_of_it_open_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
