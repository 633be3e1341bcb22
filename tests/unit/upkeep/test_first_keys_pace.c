/* First keys that nobody asks for, of many AAPs: how fast they go out, and in which order with rotations. */
#include "fs/engine/engine.h"
#include "tests/unit/engine_rig.h"

static void configure(void)
{
    rig.config.defaults.expose_password = true;
    table_add("payments");
}

static void many_go_at_the_pace_of_what_nobody_waits_for(void **unused)
{
    enum { MANY = 20, RATE = 2 };
    configure();
    for (int i = 1; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof(name), "aap%d", i);
        table_add(name);
    }
    rig_start();
    table_serve();
    rig.config.requests_per_second = RATE;
    rig_pass(60 * 1000);
    rig.config.defaults.first_key = FIRST_KEY_GENERATE;
    engine_wake_all(rig.engine);
    for (int second = 0; second < MANY; second++) {
        unsigned int before = kms_table.last_id;
        rig_pass(1000);
        table_serve();
        assert_true(kms_table.last_id <= before + 2 * RATE);
    }
    assert_int_equal(kms_table.last_id, MANY);
}

/* ORDERS's key, of that validity, and PAYMENTS's first one are due at once: which is asked for first. */
static void come_due_together(int64_t validity, const char *expected)
{
    configure();
    table_add("orders");
    rig.config.defaults.validity_years = 0;
    rig.config.defaults.validity_seconds = validity;
    rig_start();
    table_serve();
    rig_do("orders", RIG_PASSWORD);
    rig.config.defaults.first_key = FIRST_KEY_GENERATE;
    engine_wake_all(rig.engine);
    rig_jump_to(rig_aap("orders")->rotation.next + 1);
    table_serve_until(RIG_CREATE);
    rig_expect(RIG_CREATE, expected);
}

static void it_goes_before_a_rotation_that_has_time(void **unused)
{
    come_due_together(86400, "payments");
}

static void and_after_that_of_a_key_that_ends_within_the_hour(void **unused)
{
    come_due_together(3600, "orders");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(many_go_at_the_pace_of_what_nobody_waits_for),
        rig_test(it_goes_before_a_rotation_that_has_time),
        rig_test(and_after_that_of_a_key_that_ends_within_the_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
