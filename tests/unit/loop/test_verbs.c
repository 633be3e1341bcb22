/* The commands of control: what each is called in last_error, and when it may begin. */
#include "fs/loop/loop.h"
#include "fs/loop/reload.h"
#include "tests/unit/engine_rig.h"

static void start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
}

/* What last_error says has failed. */
static void assert_named(const char *aap_name, const char *command, const char *operation)
{
    rig_write(aap_name, command);
    const struct registry_failure *failure = aap_name ? &rig_aap(aap_name)->failure : &registry_mount(rig.registry)->failure;
    assert_int_not_equal(failure->error.number, 0);
    assert_string_equal(failure->error.operation, operation);
}

static void each_is_named_by_what_it_is_about(void **unused)
{
    start();
    assert_named("payments", "nonsense", "control");
    assert_named("payments", "rotate", "CreateClientKey");
    assert_named("payments", "retry-check", "CreateClientKey");
    assert_named("payments", "delete KAAP.9", "DeleteClientKey");
    assert_named("payments", "reloaded", "reloaded");
    assert_named("payments", "{\"KeyId\": \"K\", \"PrivateKeyData\": \"" RIG_NO_KEY "\", \"Password\": \"p\"}", "adopt");
    assert_named(NULL, "forget nobody", "forget");
    rig_write(NULL, "upgrade");
    loop_verdict(rig.engine, ENOEXEC, "no");
    assert_string_equal(registry_mount(rig.registry)->failure.error.operation, "upgrade");
    rig_write(NULL, "reload");
    reload_refused(rig.engine, EINVAL, "no");
    assert_string_equal(registry_mount(rig.registry)->failure.error.operation, "reload");
}

static void what_ends_at_once_begins_beside_others(void **unused)
{
    start();
    rig_do("payments", RIG_PASSWORD);
    rig_write("payments", RIG_PASSWORD);
    rig_write(NULL, "sync");
    assert_int_equal(rig_result(rig_write(NULL, "rotate-due")), 0);
    assert_int_equal(rig_result(rig_write("payments", "reloaded")), 0);
    rig_assert_failed(rig_write("payments", "retry-check"), "payments", -EBUSY, "Busy");
    rig_assert_failed(rig_write(NULL, "adopt-state"), NULL, -EBUSY, "Busy");
}

static void what_asks_kms_nothing_begins_also_right_after_the_network_failed(void **unused)
{
    start();
    uint64_t number = rig_write(NULL, "sync");
    rig_lose();
    rig_assert_failed(number, NULL, -ECONNRESET, "Network.Reset");
    assert_int_equal(rig_result(rig_write(NULL, "forget payments")), -ECONNRESET);
    assert_int_equal(rig_result(rig_write_by(NULL, "sync", 2, 2)), -ECONNRESET);
    rig_expect_nothing();
    assert_int_equal(rig_result(rig_write(NULL, "adopt-state")), 0);
}

static void nor_is_an_upgrade_refused_then(void **unused)
{
    start();
    rig_write(NULL, "sync");
    rig_lose();
    rig_write(NULL, "upgrade");
    assert_int_equal(rig.upgrades_asked, 1);
}

static void nor_a_reload(void **unused)
{
    start();
    rig_write(NULL, "sync");
    rig_lose();
    rig_write(NULL, "reload");
    assert_int_equal(rig.reloads_asked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(each_is_named_by_what_it_is_about),
        rig_test(what_ends_at_once_begins_beside_others),
        rig_test(what_asks_kms_nothing_begins_also_right_after_the_network_failed),
        rig_test(nor_is_an_upgrade_refused_then),
        rig_test(nor_a_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
