/* A new configuration while the mount lives: who is led to it, what the kernel is told, and what the write ends with. */
#include "fs/loop/reload.h"
#include "tests/unit/engine_rig.h"

static struct config changed; /* the new one */

/* An engine; ORDERS and PAYMENTS have a key each. */
static void start(void)
{
    table_add("orders");
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("orders", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD);
    changed = rig.config;
}

static unsigned int told_from; /* of the publications since the last look */

static void reload(bool asked)
{
    told_from = rig.publications_begun;
    reload_config(rig.engine, &changed, asked);
    rig_settle();
}

/* What the kernel was told to ask for again. */
static void assert_told(const struct publish_request *expected, unsigned int count)
{
    assert_int_equal(rig.publications_begun - told_from, count);
    for (unsigned int i = 0; i < count; i++) {
        assert_int_equal(rig.publications[told_from + i].kind, expected[i].kind);
        assert_int_equal(rig.publications[told_from + i].number, expected[i].number);
    }
}

static void the_write_ends_when_the_kernel_was_told(void **unused)
{
    static const struct publish_request all[] = {{PUBLISH_CONTROL_ATTRIBUTES, 1}, {PUBLISH_CONTROL_ATTRIBUTES, 2},
                                                 {PUBLISH_GENERATION_ATTRIBUTES, 1}, {PUBLISH_GENERATION_ATTRIBUTES, 2},
                                                 {PUBLISH_KEY_ATTRIBUTES, 1}, {PUBLISH_KEY_ATTRIBUTES, 2}};
    start();
    uint64_t number = rig_write(NULL, "reload");
    assert_int_equal(rig.reloads_asked, 1);
    rig.holds_publications = true;
    changed.defaults.mode = 0400;
    reload(true);
    assert_int_equal(rig.publications_begun - told_from, 1); /* one after the other */
    assert_false(rig_is_answered(number));
    rig.holds_publications = false;
    rig_settle();
    assert_told(all, 6);
    assert_int_equal(rig_result(number), 0);
    assert_int_equal(rig.reloads_told, 1);
    assert_ptr_equal(rig_aap("payments")->config, &changed.defaults);
}

static void only_what_has_other_owners_or_modes_is_told(void **unused)
{
    static struct config_section section = {.name = "payments"};
    static const struct publish_request its[] = {{PUBLISH_CONTROL_ATTRIBUTES, 2}, {PUBLISH_GENERATION_ATTRIBUTES, 2},
                                                 {PUBLISH_KEY_ATTRIBUTES, 2}};
    start();
    changed.defaults.max_keys = 2;
    reload(false);
    assert_told(NULL, 0);
    section.values = changed.defaults;
    section.values.control_group = 7;
    changed.sections = &section;
    changed.section_count = 1;
    reload(false);
    assert_told(its, 3);
    assert_ptr_equal(rig_aap("payments")->config, &section.values);
    assert_ptr_equal(rig_aap("orders")->config, &changed.defaults);
}

static void a_configuration_that_comes_meanwhile_begins_anew(void **unused)
{
    start();
    rig.holds_publications = true;
    changed.defaults.mode = 0400;
    reload(false);
    rig_publish(0); /* of the first control */
    changed.defaults.mode = 0440;
    reload(false);
    assert_int_equal(rig.publications_begun - told_from, 0); /* no second chain */
    rig_publish(0);
    assert_int_equal(rig.publications[told_from].kind, PUBLISH_CONTROL_ATTRIBUTES);
    assert_int_equal(rig.publications[told_from].number, 1);
    rig.holds_publications = false;
    rig_settle();
    assert_int_equal(rig.publications_begun - told_from, 6);
}

static void one_that_is_refused_changes_nothing(void **unused)
{
    start();
    uint64_t number = rig_write(NULL, "reload");
    reload_refused(rig.engine, EINVAL, "aapfs.conf:3: no such key");
    rig_settle();
    rig_assert_failed(number, NULL, -EINVAL, "Reload");
    assert_string_equal(registry_mount(rig.registry)->failure.error.message, "aapfs.conf:3: no such key");
    assert_ptr_equal(rig_aap("payments")->config, &rig.config.defaults);
}

static void a_control_that_is_switched_off_takes_nothing(void **unused)
{
    start();
    changed.control = false;
    reload(false);
    assert_int_equal(rig.publications[told_from].kind, PUBLISH_CONTROL_ATTRIBUTES);
    assert_int_equal(rig.publications[told_from].number, 0); /* the mount's own, too */
    assert_true(registry_mount(rig.registry)->control_is_off);
    table_serve();
    rig_assert_failed(rig_write("payments", RIG_PASSWORD), "payments", -EPERM, "ControlIsOff");
    rig_expect_nothing();
}

static void aaps_are_listed_again(void **unused)
{
    start();
    rig_expect_nothing();
    reload(false);
    rig_expect(RIG_LIST_AAPS, "");
}

static void an_earlier_workers_kernel_is_told_of_everything(void **unused)
{
    start();
    rig_stop(NULL);
    rig.refresh = true;
    rig_start();
    assert_int_equal(rig_published(PUBLISH_CONTROL_ATTRIBUTES), 3);
    assert_int_equal(rig_published(PUBLISH_GENERATION_ATTRIBUTES), 2);
    assert_int_equal(rig_published(PUBLISH_KEY_ATTRIBUTES), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(the_write_ends_when_the_kernel_was_told),
        rig_test(only_what_has_other_owners_or_modes_is_told),
        rig_test(a_configuration_that_comes_meanwhile_begins_anew),
        rig_test(one_that_is_refused_changes_nothing),
        rig_test(a_control_that_is_switched_off_takes_nothing),
        rig_test(aaps_are_listed_again),
        rig_test(an_earlier_workers_kernel_is_told_of_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
