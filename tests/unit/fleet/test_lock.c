/* The lock of an AAP: who creates in a fleet, and what becomes of the others. */
#include "tests/unit/fleet/fleet_rig.h"

static const char lock_name[] = "aapfs/locks/payments", intents[] = "aapfs/intents/payments/";

static const struct registry_rotation *rotation(void)
{
    return &rig_aap("payments")->rotation;
}

/* PAYMENTS has KAAP.1, whose rotation is due now; the fleet has heard of nothing yet. */
static void come_due(void)
{
    fleet_rig_start();
    fleet_rig_do(RIG_PASSWORD);
    rig.now_ms = (rotation()->next + 1) * 1000; /* as soon as the test lets the engine go on */
}

static unsigned int creations(void)
{
    return table_find("payments")->creations;
}

static void who_creates_has_the_lock_and_an_intent_until_the_key_is_there(void **unused)
{
    struct note_lock note;
    fleet_rig_start();
    uint64_t number = fleet_rig_write(RIG_PASSWORD);
    fleet_rig_serve_until(RIG_CREATE);
    assert_true(fleet_rig_read_lock(&note));
    assert_string_equal(note.host, FLEET_RIG_HOST);
    assert_true(memory_find(lock_name)->entry.lease);
    assert_int_equal(memory_count(intents), 1);
    assert_false(rig_is_answered(number));
    fleet_rig_serve();
    assert_int_equal(rig_result(number), 0);
    assert_null(memory_find(lock_name));
    fleet_rig_do("rotate");
    assert_string_equal(rig_current("payments"), "KAAP.2");
    assert_null(memory_find(lock_name));
}

/* What is due on every host at the same time costs whoever is late one look at the lock. */
static void a_rotation_makes_way_for_another_host_without_a_word(void **unused)
{
    come_due();
    fleet_rig_put_lock("there-1");
    unsigned int leases = memory.leases, failed = rig.counters->rotations[ROTATION_FAILED];
    rig_forget_log();
    fleet_rig_settle();
    rig_expect_nothing();
    assert_int_equal(memory.leases, leases);
    assert_int_equal(rotation()->state, ROTATION_DUE);
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
    assert_int_equal(rig.counters->rotations[ROTATION_FAILED], failed);
    unsigned int gets = memory.gets;
    fleet_rig_pass(9000);
    assert_int_equal(memory.gets, gets); /* it does not ask again and again */
    fleet_rig_pass(21000);
    assert_true(memory.gets > gets);
    rig_expect_nothing();
    assert_int_equal(rig_warnings(), 0);
    memory_remove(lock_name); /* and no key has come */
    fleet_rig_pass(21000);
    fleet_rig_serve();
    assert_string_equal(rig_current("payments"), "KAAP.2");
    assert_int_equal(rotation()->state, ROTATION_PLANNED);
}

static void a_lock_that_another_host_never_leaves_is_told_of(void **unused)
{
    come_due();
    fleet_rig_put_lock("there-1");
    fleet_rig_settle();
    fleet_rig_pass(590 * 1000);
    assert_int_equal(rig_warnings(), 0);
    fleet_rig_pass(60 * 1000);
    assert_int_equal(rotation()->state, ROTATION_FAILING);
    assert_true(rig_has_logged("another host of the fleet has the AAP's lock"));
    assert_int_equal(rig_warnings(), 1);
    fleet_rig_pass(600 * 1000);
    assert_int_equal(rig_warnings(), 1);
}

static void a_person_hears_which_host_it_is(void **unused)
{
    fleet_rig_start();
    fleet_rig_put_lock("there-1");
    uint64_t number = fleet_rig_write(RIG_PASSWORD);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EBUSY, "FleetBusy");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "there-1"));
    fleet_rig_put_lock(FLEET_RIG_HOST); /* which a worker has left that was killed */
    number = fleet_rig_write(RIG_PASSWORD);
    rig_assert_failed(number, "payments", -EBUSY, "FleetBusy");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, FLEET_RIG_HOST " (this one"));
    assert_int_equal(creations(), 0);
}

/* Two have looked, and nobody had it. */
static void whoever_is_first_with_the_lock_has_it(void **unused)
{
    fleet_rig_start();
    unsigned int leases = memory.leases;
    memory.holds = true;
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    while (memory.leases == leases)
        fleet_rig_step();
    memory_put(lock_name, "no note", 7); /* nor can it be read */
    memory.holds = false;
    fleet_rig_settle();
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EBUSY, "FleetBusy");
    assert_string_equal((const char *)memory_find(lock_name)->value, "no note");
}

static void a_store_that_is_not_there_stops_a_creation_and_nothing_else(void **unused)
{
    come_due();
    memory.error = ECONNREFUSED;
    fleet_rig_settle();
    rig_expect_nothing();
    assert_int_equal(rotation()->state, ROTATION_FAILING);
    assert_string_equal(rig_aap("payments")->failure.error.code, "Fleet");
    assert_true(rig_shows("payments", "KAAP.1"));
    uint64_t number = fleet_rig_write("rotate");
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -ECONNREFUSED, "Fleet");
    memory.error = 0;
    fleet_rig_pass(4000);
    fleet_rig_serve();
    assert_string_equal(rig_current("payments"), "KAAP.2");
}

static void without_an_answer_to_the_lock_nothing_is_sent_and_it_goes(void **unused)
{
    fleet_rig_start();
    memory.loses = true;
    uint64_t number = fleet_rig_write(RIG_PASSWORD);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -ETIMEDOUT, "Fleet");
    assert_null(memory_find(lock_name));
}

static unsigned int intents_on_disk(void)
{
    return rig_count_files(".intent-");
}

/* The request would come when another host has the lock already, and has seen no intent or waited for it. */
static void a_lease_that_is_lost_before_the_request_stops_it(void **unused)
{
    fleet_rig_start();
    memory.left_ms = rig.config.request_timeout_ms;
    uint64_t number = fleet_rig_write(RIG_PASSWORD);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -ETIMEDOUT, "Fleet");
    assert_int_equal(memory_count(intents), 0);
    assert_int_equal(intents_on_disk(), 0);
    memory.left_ms = INT64_MAX;
    fleet_rig_pass(10 * 1000);
    fleet_rig_do(RIG_PASSWORD); /* and it is in nobody's way */
    assert_int_equal(creations(), 1);
}

static void one_that_another_host_got_meanwhile_stops_it_too(void **unused)
{
    fleet_rig_start();
    memory.holds = true;
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    while (intents_on_disk() == 0) /* one answer after the other, until its intent is on its way to the fleet */
        fleet_rig_step();
    memory_end_leases(false);
    fleet_rig_put_lock("there-1");
    memory.holds = false;
    fleet_rig_settle();
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EIO, "Fleet");
    assert_int_equal(memory_count(intents), 0);
    assert_int_equal(intents_on_disk(), 0);
}

static void a_key_that_comes_after_the_lease_was_lost_is_taken(void **unused)
{
    fleet_rig_start();
    uint64_t number = fleet_rig_write(RIG_PASSWORD);
    fleet_rig_serve_until(RIG_CREATE);
    memory_end_leases(true);
    fleet_rig_put_lock("there-1");
    fleet_rig_serve();
    assert_int_equal(rig_result(number), 0);
    assert_string_equal(rig_current("payments"), "KAAP.1");
    assert_non_null(memory_find(lock_name)); /* the other one's */
}

/* The others would make another one, for they do not know of it. */
static void the_lock_stays_until_the_fleet_knows_the_key(void **unused)
{
    fleet_rig_start();
    uint64_t number = fleet_rig_write(RIG_PASSWORD);
    fleet_rig_serve_until(RIG_CREATE);
    memory.error = ETIMEDOUT;
    fleet_rig_serve();
    assert_int_equal(rig_result(number), 0);
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_non_null(memory_find(lock_name));
    assert_int_equal(memory_count(intents), 1);
    number = fleet_rig_write("rotate");
    rig_assert_failed(number, "payments", -EBUSY, "FleetIsBehind");
    memory.error = 0;
    fleet_rig_pass(5000);
    assert_int_equal(memory_count("aapfs/aaps/payments/keys/KAAP.1"), 1);
    assert_int_equal(memory_count(intents), 0);
    assert_null(memory_find(lock_name));
    fleet_rig_do("rotate");
}

/* Its watch is slower than whoever looks. */
static void a_newer_key_of_the_fleet_is_waited_for(void **unused)
{
    come_due();
    memory.holds = true;
    rig_settle();
    fleet_rig_put_key("KAAP.8", rig.now_ms / 1000);
    rig_forget_log();
    memory.holds = false;
    fleet_rig_settle();
    rig_expect_nothing();
    assert_null(memory_find(lock_name));
    assert_true(rig_shows("payments", "KAAP.8"));
    assert_int_equal(rotation()->state, ROTATION_PLANNED);
    assert_int_equal(rig_warnings(), 0);
    assert_int_equal(creations(), 1);

    memory.holds = true;
    uint64_t number = rig_write("payments", "rotate");
    fleet_rig_put_key("KAAP.9", rig.now_ms / 1000 + 1);
    memory.holds = false;
    fleet_rig_settle();
    rig_expect_nothing();
    assert_int_equal(rig_result(number), -EBUSY);
    assert_true(rig_shows("payments", "KAAP.9"));
    assert_int_equal(creations(), 1);
}

static void what_kms_refuses_is_in_nobodys_way(void **unused)
{
    fleet_rig_start();
    uint64_t number = fleet_rig_write(RIG_PASSWORD);
    fleet_rig_serve_until(RIG_CREATE);
    memory.holds = true;
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    assert_int_equal(rig_result(number), -EACCES);
    assert_int_equal(memory_count(intents), 1);
    assert_non_null(memory_find(lock_name)); /* nobody else is to find the one without the other */
    memory.holds = false;
    fleet_rig_settle();
    assert_int_equal(memory_count(intents), 0);
    assert_null(memory_find(lock_name));
    fleet_rig_do(RIG_PASSWORD);
    assert_int_equal(creations(), 1);
}

/* A deletion that makes a place for a creation goes by its lock. */
static void a_fleet_keeps_two_keys_of_three(void **unused)
{
    fleet_rig_start();
    fleet_rig_do(RIG_PASSWORD);
    fleet_rig_do(RIG_PASSWORD);
    uint64_t number = fleet_rig_write(RIG_PASSWORD); /* KAAP.1 may be in use */
    fleet_rig_serve();
    rig_assert_failed(number, "payments", -EDQUOT, "MaxKeys");
    fleet_rig_do("reloaded");
    rig_jump_to(rotation()->next + 1);
    fleet_rig_serve();
    assert_string_equal(rig_current("payments"), "KAAP.3");
    assert_int_equal(table_count(table_find("payments")), 2);
    assert_null(memory_find(lock_name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fleet_test(who_creates_has_the_lock_and_an_intent_until_the_key_is_there),
        fleet_test(a_rotation_makes_way_for_another_host_without_a_word),
        fleet_test(a_lock_that_another_host_never_leaves_is_told_of),
        fleet_test(a_person_hears_which_host_it_is),
        fleet_test(whoever_is_first_with_the_lock_has_it),
        fleet_test(a_store_that_is_not_there_stops_a_creation_and_nothing_else),
        fleet_test(without_an_answer_to_the_lock_nothing_is_sent_and_it_goes),
        fleet_test(a_lease_that_is_lost_before_the_request_stops_it),
        fleet_test(one_that_another_host_got_meanwhile_stops_it_too),
        fleet_test(a_key_that_comes_after_the_lease_was_lost_is_taken),
        fleet_test(the_lock_stays_until_the_fleet_knows_the_key),
        fleet_test(a_newer_key_of_the_fleet_is_waited_for),
        fleet_test(what_kms_refuses_is_in_nobodys_way),
        fleet_test(a_fleet_keeps_two_keys_of_three),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
