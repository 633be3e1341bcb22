/* What the hosts of a fleet serve: each tells of its own, and no key is deleted that another one may still use. */
#include "tests/unit/fleet/fleet_rig.h"

#include "fs/engine/engine.h"

/* PAYMENTS has KAAP.1, superseded, and KAAP.2; its applications were told of it. */
static void start(void)
{
    rig.config.defaults.delete_superseded = DELETE_AFTER;
    rig.config.defaults.delete_after_seconds = 3600;
    fleet_rig_start();
    fleet_rig_do(RIG_PASSWORD);
    fleet_rig_do(RIG_PASSWORD);
    fleet_rig_do("reloaded");
}

static int64_t made_ns(void)
{
    return rig_aap("payments")->current->made_ns;
}

static bool is_there(void)
{
    return registry_find_key(rig_aap("payments"), "KAAP.1");
}

static void a_host_tells_what_it_serves(void **unused)
{
    struct note_presence presence;
    struct note_served note;
    fleet_rig_start();
    assert_true(fleet_rig_read_presence(&presence));
    assert_true(presence.reported);
    assert_false(fleet_rig_read_served(&note));
    fleet_rig_do(RIG_PASSWORD);
    assert_true(fleet_rig_read_served(&note));
    assert_string_equal(note.client_key_id, "KAAP.1");
    assert_string_equal(note.notified, "KAAP.1");
    assert_string_equal(note.nonce, presence.nonce);
    assert_int_equal(note.made_ns, made_ns());
    fleet_rig_do(RIG_PASSWORD);
    assert_true(fleet_rig_read_served(&note));
    assert_string_equal(note.client_key_id, "KAAP.2");
    assert_string_equal(note.notified, "KAAP.1");
    fleet_rig_do("reloaded");
    assert_true(fleet_rig_read_served(&note));
    assert_string_equal(note.notified, "KAAP.2");
    unsigned int commits = memory.commits;
    fleet_rig_pass(600 * 1000);
    assert_int_equal(memory.commits, commits);
}

static void a_name_shows_a_key_when_every_name_does(void **unused)
{
    struct note_served note;
    start();
    fleet_rig_do("delete KAAP.1");
    rig.holds_publications = true;
    fleet_rig_write(RIG_PASSWORD);
    fleet_rig_serve();
    assert_string_equal(rig_current("payments"), "KAAP.3");
    engine_wake_all(rig.engine); /* whoever looks */
    fleet_rig_settle();
    assert_true(fleet_rig_read_served(&note));
    assert_string_equal(note.client_key_id, "KAAP.2");
    while (rig.publications_ended != rig.publications_begun)
        rig_publish(0);
    rig.holds_publications = false;
    fleet_rig_serve();
    assert_true(fleet_rig_read_served(&note));
    assert_string_equal(note.client_key_id, "KAAP.3");
}

static void what_cannot_be_told_is_told_later(void **unused)
{
    struct note_served note;
    start();
    fleet_rig_do("delete KAAP.1");
    fleet_rig_do(RIG_PASSWORD);
    memory.error = ETIMEDOUT;
    fleet_rig_do("reloaded");
    assert_true(fleet_rig_read_served(&note));
    assert_string_equal(note.notified, "KAAP.2");
    memory.error = 0;
    fleet_rig_pass(2000);
    assert_true(fleet_rig_read_served(&note));
    assert_string_equal(note.notified, "KAAP.3");
}

static void the_next_worker_tells_all_anew(void **unused)
{
    struct note_served note;
    start();
    memory_remove("aapfs/served/payments/" FLEET_RIG_HOST);
    fleet_rig_put_served(FLEET_RIG_HOST, "KAAP.0", 1, "");
    fleet_rig_stop();
    fleet_rig_start();
    assert_true(fleet_rig_read_served(&note));
    assert_string_equal(note.client_key_id, "KAAP.2");
}

static void its_presence_goes_and_comes_with_its_lease(void **unused)
{
    struct note_presence note;
    fleet_rig_start();
    memory_end_leases(true);
    assert_false(fleet_rig_read_presence(&note));
    fleet_rig_pass(2000);
    assert_true(fleet_rig_read_presence(&note));
}

/* Whether KAAP.1 is deleted by itself within an hour and a half. */
static bool goes(void)
{
    fleet_rig_pass(5400 * 1000);
    fleet_rig_serve();
    return !is_there();
}

static void a_superseded_key_stays_until_every_host_has_a_newer_one(void **unused)
{
    start();
    fleet_rig_put_host("there-1", true);
    fleet_rig_put_host("there-2", true);
    fleet_rig_put_served("there-1", "KAAP.2", made_ns(), "KAAP.2");
    fleet_rig_put_served("there-2", "KAAP.1", made_ns() - 1, "KAAP.1");
    rig_forget_log();
    assert_false(goes());
    fleet_rig_put_served("there-2", "KAAP.2", made_ns(), "KAAP.1"); /* its applications may use the other one */
    assert_false(goes());
    assert_int_equal(rig_warnings(), 0);
    assert_int_equal(rig_aap("payments")->failure.error.number, 0);
    unsigned int gets = memory.gets;
    fleet_rig_pass(600 * 1000);
    assert_true(memory.gets - gets <= 20); /* it looks once in a minute or two */
    fleet_rig_put_served("there-2", "KAAP.2", made_ns(), "KAAP.2");
    fleet_rig_pass(120 * 1000);
    fleet_rig_serve();
    assert_false(is_there());
    assert_int_equal(memory_count("aapfs/locks/"), 0);
}

static void a_host_that_has_not_told_all_may_have_it(void **unused)
{
    start();
    fleet_rig_put_host("there-1", false);
    assert_false(goes());
    fleet_rig_put_host("there-1", true); /* and has nothing to tell of this AAP */
    assert_true(goes());
}

static void a_host_that_is_not_there_is_not_waited_for(void **unused)
{
    start();
    fleet_rig_put_served("there-1", "KAAP.1", 1, "");
    assert_true(goes());
}

static void a_person_deletes_it_all_the_same_and_it_is_said(void **unused)
{
    start();
    fleet_rig_put_host("there-1", true);
    fleet_rig_put_served("there-1", "KAAP.2", made_ns(), "");
    fleet_rig_do("delete KAAP.1");
    assert_false(is_there());
    assert_int_equal(rig_warnings(), 0);
    fleet_rig_do(RIG_PASSWORD);
    fleet_rig_do("delete KAAP.2");
    assert_true(rig_has_logged("though the host there-1 of the fleet has not reported yet"));
}

static void for_a_place_it_is_not_deleted_either(void **unused)
{
    start();
    fleet_rig_put_host("there-1", true);
    fleet_rig_put_served("there-1", "KAAP.1", made_ns() - 1, "KAAP.1");
    rig_jump_to(rig_aap("payments")->rotation.next + 1);
    fleet_rig_serve();
    assert_int_equal(rig_aap("payments")->rotation.state, ROTATION_FAILING);
    assert_string_equal(rig_aap("payments")->failure.error.code, "MaxKeys");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "there-1"));
    assert_true(is_there());
    fleet_rig_put_served("there-1", "KAAP.2", made_ns(), "KAAP.2");
    fleet_rig_pass(120 * 1000);
    fleet_rig_serve();
    assert_false(is_there());
    assert_string_equal(rig_current("payments"), "KAAP.3");
}

static void with_the_lock_of_another_host_nothing_is_deleted(void **unused)
{
    start();
    fleet_rig_put_lock("there-1");
    assert_false(goes());
    uint64_t number = fleet_rig_write("delete KAAP.1");
    rig_assert_failed(number, "payments", -EBUSY, "FleetBusy");
    memory_remove("aapfs/locks/payments");
    assert_true(goes());
}

static void what_is_asked_goes_with_the_engine(void **unused)
{
    start();
    fleet_rig_put_host("there-1", true);
    memory.holds = true;
    rig_write("payments", "delete KAAP.1");
    fleet_rig_step(); /* the hosts; what they serve is still to come */
    rig_stop(NULL);
    memory.holds = false;
    fleet_rig_start();
    assert_true(is_there());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fleet_test(a_host_tells_what_it_serves),
        fleet_test(a_name_shows_a_key_when_every_name_does),
        fleet_test(what_cannot_be_told_is_told_later),
        fleet_test(the_next_worker_tells_all_anew),
        fleet_test(its_presence_goes_and_comes_with_its_lease),
        fleet_test(a_superseded_key_stays_until_every_host_has_a_newer_one),
        fleet_test(a_host_that_has_not_told_all_may_have_it),
        fleet_test(a_host_that_is_not_there_is_not_waited_for),
        fleet_test(a_person_deletes_it_all_the_same_and_it_is_said),
        fleet_test(for_a_place_it_is_not_deleted_either),
        fleet_test(with_the_lock_of_another_host_nothing_is_deleted),
        fleet_test(what_is_asked_goes_with_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
