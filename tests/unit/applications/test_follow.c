/* Who holds a superseded file is told at its switch, and a removed key is wiped when no file shows it any more. */
#include "fs/applications/follow.h"
#include "fs/engine/kms_clock.h"
#include "tests/unit/engine_rig.h"

enum { SETTLE_MS = 5000 };

static uint32_t tell_from; /* of the publications since the last look */

/* Those who were told meanwhile. */
static void assert_told(const uint32_t *generations, unsigned int count)
{
    assert_int_equal(rig.publications_begun - tell_from, count);
    for (unsigned int i = 0; i < count; i++) {
        assert_int_equal(rig.publications[tell_from + i].kind, PUBLISH_FOLLOW);
        assert_int_equal(rig.publications[tell_from + i].number, generations[i]);
    }
    tell_from = rig.publications_begun;
}

/* One more generation of the only key, which is shown now and known to everybody. */
static void show_another(void)
{
    struct numbered_aap *aap = numbers_aap(rig.numbers, 1);
    uint32_t generation = numbers_add_generation(rig.numbers, 1, 5000);
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
        numbers_show(rig.numbers, generation, (enum published_name)i, clock_monotonic_ms());
    aap->settled_generation = aap->hook_generation = generation;
}

static void start(void)
{
    rig_start();
    tell_from = rig.publications_begun;
}

static void who_holds_an_older_generation_is_told_at_a_switch(void **unused)
{
    static const uint32_t first[] = {3, 2, 1}, second[] = {4, 3, 1};
    rig.config.settle_ms = SETTLE_MS;
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1"});
    rig_start();
    rig_stop(NULL);
    for (int i = 0; i < 3; i++)
        show_another();
    rig.nobody_holds = 2;
    start();
    rig_pass(SETTLE_MS + FOLLOW_GRACE_MS - 1);
    assert_told(NULL, 0);
    rig_pass(1);
    assert_told(first, 3);
    assert_int_equal(numbers_aap(rig.numbers, 1)->followed, 4);
    assert_true(numbers_generation(rig.numbers, 2)->unheld);
    rig_stop(NULL);
    /* what is followed is not told again, and of what nobody holds nothing ever is */
    start();
    rig_pass(2 * SETTLE_MS);
    assert_told(NULL, 0);
    rig_stop(NULL);
    show_another();
    start();
    rig_pass(2 * SETTLE_MS);
    assert_told(second, 3);
    assert_int_equal(numbers_aap(rig.numbers, 1)->followed, 5);
}

static void a_rotation_is_followed(void **unused)
{
    rig.config.settle_ms = SETTLE_MS;
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    rig_pass(2 * SETTLE_MS);
    rig_do("payments", RIG_PASSWORD);
    assert_true(rig_shows("payments", "KAAP.2"));
    rig_pass(SETTLE_MS + FOLLOW_GRACE_MS - 1);
    assert_int_equal(rig_published(PUBLISH_FOLLOW), 0);
    rig_pass(1);
    assert_int_equal(rig_published(PUBLISH_FOLLOW), 1);
}

static void a_removed_key_is_wiped_when_no_file_shows_it(void **unused)
{
    rig.config.settle_ms = SETTLE_MS;
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", "delete KAAP.1");
    assert_non_null(registry_first_removed(rig.registry)); /* who has opened it reads it to its end */
    rig_pass(SETTLE_MS + FOLLOW_GRACE_MS);
    assert_non_null(registry_first_removed(rig.registry));
    rig_pass(1000);
    assert_null(registry_first_removed(rig.registry));
    assert_int_equal(rig_published(PUBLISH_KEY_ATTRIBUTES), 1); /* and who holds it open hears that it has gone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(who_holds_an_older_generation_is_told_at_a_switch),
        rig_test(a_rotation_is_followed),
        rig_test(a_removed_key_is_wiped_when_no_file_shows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
