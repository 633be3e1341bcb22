/* What other hosts have asked KMS for: settled before anything is made. */
#include "tests/unit/fleet/fleet_rig.h"

#include "fs/engine/engine.h"
#include "fs/keys/creator.h"

static const char intents[] = "aapfs/intents/payments/";
static const char begins[] = "2024-03-01T08:00:00Z", ends[] = "2025-03-01T08:00:00Z";

static const struct registry_rotation *rotation(void)
{
    return &rig_aap("payments")->rotation;
}

/* PAYMENTS has KAAP.1, whose rotation is due now, and another host has asked for a key of BEGINS and ENDS a moment ago. */
static void come_due_after_another_host(void)
{
    fleet_rig_start();
    fleet_rig_do(RIG_PASSWORD);
    rig.now_ms = (rotation()->next + 1) * 1000;
    fleet_rig_put_intent(1234, "there-1", begins, ends, rig.now_ms / 1000 - 5);
    rig_forget_log();
    fleet_rig_settle();
}

static int64_t park_ms(void)
{
    return creator_park_ms(rig.engine);
}

/* As often as is wanted in a few minutes. */
static void let_kms_be_asked(void)
{
    for (unsigned int i = 0; i < 8; i++) {
        fleet_rig_pass(20000);
        fleet_rig_serve();
    }
}

static void what_may_be_on_its_way_is_waited_for_and_its_key_named(void **unused)
{
    come_due_after_another_host();
    rig_expect_nothing(); /* nor a listing: it would be too early */
    assert_int_equal(memory_count("aapfs/locks/"), 0);
    fleet_rig_pass(park_ms() - 1000);
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    rig_expect_nothing();
    table_make(table_find("payments"), begins, ends); /* KAAP.2: it comes at the last moment */
    fleet_rig_pass(21000);
    rig_expect(RIG_LIST_KEYS, "payments");
    assert_int_equal(rig_count_requests(RIG_CREATE), 0); /* before that is answered */
    fleet_rig_serve();
    assert_true(registry_has_id(rig_aap("payments")->orphans, "KAAP.2"));
    fleet_rig_pass(21000);
    fleet_rig_serve();
    assert_string_equal(rig_current("payments"), "KAAP.3"); /* for it the place that a fleet leaves */
    assert_int_equal(table_count(table_find("payments")), 3);
    assert_int_equal(memory_count(intents), 1); /* by which the other hosts know the Orphan */
    assert_int_equal(rig_warnings(), 0);
    fleet_rig_do("delete KAAP.2");
    assert_int_equal(memory_count(intents), 0);
    assert_false(registry_has_id(rig_aap("payments")->orphans, "KAAP.2"));
}

static void of_what_kms_made_no_key_nothing_stays(void **unused)
{
    come_due_after_another_host();
    fleet_rig_pass(park_ms());
    fleet_rig_serve();
    fleet_rig_pass(21000);
    fleet_rig_serve();
    assert_string_equal(rig_current("payments"), "KAAP.2");
    assert_int_equal(memory_count(intents), 1); /* one listing is not enough for that */
    let_kms_be_asked();
    assert_int_equal(memory_count(intents), 0);
    assert_int_equal(rig_warnings(), 0);
}

static void one_of_long_ago_is_settled_at_once(void **unused)
{
    fleet_rig_start();
    fleet_rig_do(RIG_PASSWORD);
    rig.now_ms = (rotation()->next + 1) * 1000;
    fleet_rig_put_intent(1234, "there-1", begins, ends, rig.now_ms / 1000 - 3600);
    fleet_rig_settle();
    rig_expect(RIG_LIST_KEYS, "payments");
    assert_int_equal(rig_count_requests(RIG_CREATE), 0);
    fleet_rig_serve();
    fleet_rig_pass(21000);
    fleet_rig_serve();
    assert_string_equal(rig_current("payments"), "KAAP.2");
}

static void a_person_is_told_and_the_next_time_it_is_settled(void **unused)
{
    fleet_rig_start();
    fleet_rig_put_intent(1234, "there-1", begins, ends, rig.now_ms / 1000 - 5);
    uint64_t number = fleet_rig_write(RIG_PASSWORD);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EBUSY, "FleetUnsettled");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, "there-1"));
    fleet_rig_pass(park_ms() + 1000);
    fleet_rig_serve();
    fleet_rig_do(RIG_PASSWORD);
    assert_string_equal(rig_current("payments"), "KAAP.1");
}

/* Where it came from and the host's own part in the fleet are another matter: its key is here, so it has told the fleet. */
static void one_whose_key_is_here_is_settled(void **unused)
{
    fleet_rig_start();
    fleet_rig_do(RIG_PASSWORD);
    fleet_rig_put_intent(rig_aap("payments")->current->intent, "there-1", begins, ends, rig.now_ms / 1000 - 5);
    fleet_rig_do("rotate");
    assert_int_equal(memory_count(intents), 0);
}

static void what_the_others_have_settled_is_forgotten(void **unused)
{
    come_due_after_another_host();
    table_make(table_find("payments"), begins, ends);
    fleet_rig_pass(park_ms());
    fleet_rig_serve();
    assert_true(registry_has_id(rig_aap("payments")->orphans, "KAAP.2"));
    memory_remove("aapfs/intents/payments/00000000000004d2-there-1");
    table_find("payments")->keys[1].id = 0; /* and KMS has it no more */
    fleet_rig_pass(rig.config.creation_guard_ms + 1000);
    fleet_rig_write("rotate");
    fleet_rig_serve();
    assert_false(registry_has_id(rig_aap("payments")->orphans, "KAAP.2"));
}

static void what_is_no_intent_is_in_nobodys_way(void **unused)
{
    fleet_rig_start();
    memory_put("aapfs/intents/payments/00000000000004d2-there-1", "no record", 9);
    memory_put("aapfs/intents/payments/and-no-number", "no record", 9);
    fleet_rig_do(RIG_PASSWORD);
    assert_int_equal(memory_count(intents), 2);
}

static void a_lost_answer_leaves_it_for_whoever_comes_next(void **unused)
{
    fleet_rig_start();
    uint64_t number = fleet_rig_write(RIG_PASSWORD);
    fleet_rig_serve_until(RIG_CREATE);
    table_answer(FAULT_AFTER);
    fleet_rig_settle();
    assert_int_equal(rig_result(number), -ECONNRESET);
    assert_int_equal(memory_count(intents), 1);
    assert_int_equal(memory_count("aapfs/locks/"), 0);
    fleet_rig_serve();
    assert_true(registry_has_id(rig_aap("payments")->orphans, "KAAP.1"));
    assert_int_equal(memory_count(intents), 1);
    fleet_rig_pass(rig.config.creation_guard_ms + 1000);
    fleet_rig_do(RIG_PASSWORD); /* it knows its own */
    assert_int_equal(memory_count(intents), 1);
    fleet_rig_do("delete KAAP.1");
    assert_int_equal(memory_count(intents), 0);
}

static void of_a_request_that_did_not_arrive_nothing_stays(void **unused)
{
    fleet_rig_start();
    fleet_rig_write(RIG_PASSWORD);
    fleet_rig_serve_until(RIG_CREATE);
    table_answer(FAULT_BEFORE);
    fleet_rig_settle();
    assert_int_equal(memory_count(intents), 1);
    let_kms_be_asked();
    assert_int_equal(memory_count(intents), 0);
}

/* As one that dies with its worker does: the next one has it on the disk as well. */
static void a_host_that_comes_back_knows_its_own(void **unused)
{
    fleet_rig_start();
    fleet_rig_write(RIG_PASSWORD);
    fleet_rig_serve_until(RIG_CREATE);
    table_answer(FAULT_AFTER);
    fleet_rig_stop();
    memory_end_leases(false);
    fleet_rig_start();
    fleet_rig_serve();
    assert_int_equal(memory_count(intents), 1);
    fleet_rig_do(RIG_PASSWORD);
    fleet_rig_do("delete KAAP.1");
    assert_int_equal(memory_count(intents), 0);
}

static void a_rejected_key_is_an_orphan_to_the_others(void **unused)
{
    fleet_rig_start();
    uint64_t number = fleet_rig_write(RIG_PASSWORD);
    fleet_rig_serve_until(RIG_CREATE);
    rig_answer_no_key("KAAP.77");
    fleet_rig_settle();
    assert_int_equal(rig_result(number), -EKEYREJECTED);
    assert_int_equal(memory_count(intents), 1);
    fleet_rig_do(RIG_PASSWORD);
    assert_int_equal(memory_count(intents), 1);
}

/* Whether a key of KMS's is one that the host knows: its own, or an Orphan. */
static bool is_known(const struct table_key *key)
{
    return key->id == 0 || registry_find_key(rig_aap("payments"), key->name) ||
           registry_has_id(rig_aap("payments")->orphans, key->name);
}

/* KMS does what it was asked for, and nobody hears of it. */
static bool answer_nobody(struct table_aap *aap)
{
    const struct rig_request *request = rig_request();
    return request && request->operation == RIG_CREATE && table_make(aap, request->not_before, request->not_after);
}

/* A host dies after so many answers; another one makes its first key in its place. False: the first one has its own already. */
static bool die_after(unsigned int answers, unsigned int *lost)
{
    fleet_rig_start();
    struct table_aap *aap = table_find("payments");
    memory.holds = true;
    uint64_t number = rig_write("payments", RIG_PASSWORD);
    for (unsigned int i = 0; i < answers; i++)
        fleet_rig_go_on();
    if (rig_is_answered(number))
        return false;
    *lost += answer_nobody(aap);
    fleet_rig_become("there-2");
    while (number = fleet_rig_write(RIG_PASSWORD), fleet_rig_serve(), rig_result(number) < 0) {
        rig_assert_failed(number, "payments", -EBUSY, "FleetUnsettled");
        fleet_rig_pass(10000);
        fleet_rig_serve();
    }
    for (unsigned int i = 0; i < TABLE_KEYS; i++)
        assert_true(is_known(&aap->keys[i]));
    let_kms_be_asked();
    assert_int_equal(memory_count(intents), table_count(aap) - 1); /* what is lost is named */
    return true;
}

static void a_host_may_die_at_any_moment(void **unused)
{
    unsigned int answers = 0, lost = 0;
    while (die_after(answers, &lost)) {
        assert_int_equal(fleet_rig_remove(NULL), 0);
        assert_int_equal(fleet_rig_make(NULL), 0);
        answers++;
    }
    assert_int_equal(lost, 1);
    assert_true(answers >= 7); /* the lock, what there is, the intent, the key, and the intent's end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fleet_test(what_may_be_on_its_way_is_waited_for_and_its_key_named),
        fleet_test(of_what_kms_made_no_key_nothing_stays),
        fleet_test(one_of_long_ago_is_settled_at_once),
        fleet_test(a_person_is_told_and_the_next_time_it_is_settled),
        fleet_test(one_whose_key_is_here_is_settled),
        fleet_test(what_the_others_have_settled_is_forgotten),
        fleet_test(what_is_no_intent_is_in_nobodys_way),
        fleet_test(a_lost_answer_leaves_it_for_whoever_comes_next),
        fleet_test(of_a_request_that_did_not_arrive_nothing_stays),
        fleet_test(a_host_that_comes_back_knows_its_own),
        fleet_test(a_rejected_key_is_an_orphan_to_the_others),
        fleet_test(a_host_may_die_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
