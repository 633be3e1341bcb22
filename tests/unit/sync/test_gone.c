/* What KMS no longer has: it is noted, said where somebody is needed, and nothing is taken away. */
#include "fs/sync/gone.h"
#include "tests/unit/engine_rig.h"

/* An engine; ORDERS has no key, PAYMENTS has KAAP.1 and, current, KAAP.2. */
static void start(void)
{
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    table_add("orders");
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD);
    rig_forget_log();
}

static void note_aap(const char *aap_name, bool gone)
{
    gone_note_aap(rig.engine, rig_aap(aap_name)->number, gone);
    rig_settle();
    assert_int_equal(rig_aap(aap_name)->gone, gone);
}

static void note_key(const char *id)
{
    gone_note_key(rig.engine, rig_aap("payments")->number, id);
    rig_settle();
}

static const struct registry_key *key(const char *id)
{
    return registry_find_key(rig_aap("payments"), id);
}

static void an_aap_with_keys_is_said_each_time_that_it_goes(void **unused)
{
    start();
    note_aap("orders", true);
    assert_int_equal(rig_warnings(), 0); /* nobody misses anything */
    note_aap("payments", true);
    assert_true(rig_has_logged("or write forget payments to .aapfs/control"));
    assert_true(rig_shows("payments", "KAAP.2"));
    rig_forget_log();
    note_aap("payments", true);
    note_aap("payments", false);
    assert_int_equal(rig_warnings(), 0);
    note_aap("payments", true);
    assert_int_equal(rig_warnings(), 1);
}

static void of_keys_the_current_one_is_said_once(void **unused)
{
    start();
    note_key("KAAP.1");
    assert_int_equal(rig_warnings(), 0);
    note_key("KAAP.2");
    note_key("KAAP.2");
    assert_int_equal(rig_warnings(), 1);
    assert_true(key("KAAP.1")->gone && key("KAAP.2")->gone);
    assert_false(key("KAAP.2")->gone_expired);
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void one_that_had_expired_before_is_no_loss(void **unused)
{
    start();
    rig_jump_to(key("KAAP.2")->not_after_time + 1);
    rig_forget_log();
    note_key("KAAP.2");
    assert_false(rig_has_logged("KMS no longer has"));
    assert_true(key("KAAP.2")->gone_expired); /* so it is replaced like any other */
}

static void it_is_known_to_the_next_worker(void **unused)
{
    start();
    note_aap("payments", true);
    rig_stop(NULL);
    rig_start();
    assert_true(rig_aap("payments")->gone);
    note_key("KAAP.1");
    rig_stop(NULL);
    rig_start();
    assert_true(key("KAAP.1")->gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(an_aap_with_keys_is_said_each_time_that_it_goes),
        rig_test(of_keys_the_current_one_is_said_once),
        rig_test(one_that_had_expired_before_is_no_loss),
        rig_test(it_is_known_to_the_next_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
