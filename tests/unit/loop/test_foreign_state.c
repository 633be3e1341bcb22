/* A state directory that was made on another machine: its keys are served, and nothing is done to them by itself. */
#include "fs/store/machine.h"
#include "tests/unit/engine_rig.h"

static bool is_other, is_noted; /* what the directory says of its machine */
static unsigned int notes;
static int note_result;

bool __wrap_machine_is_other(int directory, const char *id_file)
{
    return is_other;
}

bool __wrap_machine_is_noted(int directory)
{
    return is_noted;
}

int __wrap_machine_note(int directory, const char *id_file)
{
    notes++;
    is_other = is_other && note_result < 0;
    return note_result;
}

/* An engine; PAYMENTS has a key whose rotation is due. */
static void start(bool other)
{
    rig_save(&(struct rig_key){"payments", "KAAP.1", "2023-01-01T00:00:00Z", "2023-12-20T00:00:00Z",
                               .made = RIG_BEGIN - 300 * RIG_DAY});
    is_other = other;
    is_noted = true;
    notes = 0;
    note_result = 0;
    table_make(table_add("payments"), "2023-01-01T00:00:00Z", "2023-12-20T00:00:00Z");
    rig_start();
}

static const struct registry_rotation *rotation(void)
{
    return &rig_aap("payments")->rotation;
}

static void keys_are_served_and_none_is_made_by_itself(void **unused)
{
    start(true);
    assert_true(rig_has_logged("it was made on another machine"));
    table_serve();
    rig_pass(600 * 1000);
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_int_equal(rotation()->next, 0);
    assert_int_equal(table_count(table_find("payments")), 1);
    assert_true(registry_mount(rig.registry)->foreign_state);
    rig_stop(NULL);
    rig_forget_log();
    rig_start(); /* the next worker says no more */
    assert_false(rig_has_logged("another machine"));
    assert_true(registry_mount(rig.registry)->foreign_state);
}

static void what_somebody_asks_for_is_done(void **unused)
{
    start(true);
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    assert_true(rig_shows("payments", "KAAP.2"));
}

static void it_belongs_here_when_somebody_says_so(void **unused)
{
    start(true);
    table_serve();
    note_result = -ENOSPC;
    rig_assert_failed(rig_write(NULL, "adopt-state"), NULL, -ENOSPC, "State");
    assert_int_equal(rotation()->next, 0);
    note_result = 0;
    rig_do(NULL, "adopt-state");
    assert_false(registry_mount(rig.registry)->foreign_state);
    assert_true(rig_shows("payments", "KAAP.2")); /* what was due */
    rig_do(NULL, "adopt-state"); /* which changes nothing */
    assert_int_equal(notes, 2);
}

static void one_that_says_nothing_of_its_machine_is_noted(void **unused)
{
    start(false);
    assert_int_equal(notes, 0);
    rig_stop(NULL);
    is_noted = false;
    rig_start();
    assert_int_equal(notes, 1);
    assert_false(registry_mount(rig.registry)->foreign_state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(keys_are_served_and_none_is_made_by_itself),
        rig_test(what_somebody_asks_for_is_done),
        rig_test(it_belongs_here_when_somebody_says_so),
        rig_test(one_that_says_nothing_of_its_machine_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
