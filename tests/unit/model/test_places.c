/* The places of an AAP: which are filled, by whom, and which is freed first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/model/places.h"

static const int64_t now = 1795000000, day = 86400;

static struct config_aap config;
static struct registry_aap aap;
static struct registry_key keys[8], foreign[8];
static struct registry_id ids[8];
static size_t key_count, foreign_count, id_count;

static int begin(void **unused)
{
    key_count = foreign_count = id_count = 0;
    config = (struct config_aap){.max_keys = 3};
    aap = (struct registry_aap){.name = "payments", .config = &config};
    return 0;
}

/* One that is newer than those before; the last is the current one. */
static struct registry_key *add(const char *id, int64_t days_left)
{
    struct registry_key *key = &keys[key_count++];
    *key = (struct registry_key){.number = (uint32_t)key_count, .not_before_time = now - 365 * day + days_left * day,
                                 .not_after_time = now + days_left * day, .asked = now - 1000 + (int64_t)key_count,
                                 .next = aap.keys};
    strcpy(key->client_key_id, id);
    aap.keys = aap.current = key;
    return key;
}

static struct registry_key *add_foreign(const char *id, int64_t days_left)
{
    struct registry_key *key = &foreign[foreign_count++];
    *key = (struct registry_key){.not_after_time = now + days_left * day, .next = aap.foreign};
    strcpy(key->client_key_id, id);
    aap.foreign = key;
    return key;
}

static struct registry_id *add_id(struct registry_id **list, const char *id)
{
    struct registry_id *added = &ids[id_count++];
    *added = (struct registry_id){.next = *list};
    strcpy(added->client_key_id, id);
    *list = added;
    return added;
}

static void tell(const char *id)
{
    strcpy(aap.notified.client_key_id, id);
}

/* FIRST NULL: nothing is freed. */
static void assert_places(bool automatic, unsigned int filled, unsigned int freeable, const char *first)
{
    struct places places;
    places_look(&aap, now, automatic, &places);
    assert_int_equal(places.filled, filled);
    assert_int_equal(places.freeable, freeable);
    if (first)
        assert_string_equal(places.first.client_key_id, first);
    else
        assert_null(places.first.client_key_id);
}

static void every_key_that_kms_has_fills_a_place(void **unused)
{
    assert_places(true, 0, 0, NULL);
    add("KAAP.expired", -1);
    add("KAAP.adopted", -1)->adopted = true;
    add("KAAP.deleted", 9)->deleted = true;
    add("KAAP.gone", 9)->gone = true;
    add("KAAP.current", 9);
    add_foreign("KAAP.foreign", 9);
    add_foreign("KAAP.leaving", 9)->deleted = true;
    add_foreign("KAAP.expired-foreign", -9);
    add_foreign("KAAP.candidate", 9);
    add_id(&aap.candidates, "KAAP.candidate");
    add_id(&aap.rejected, "KAAP.rejected");
    add_id(&aap.rejected, "KAAP.deleted-elsewhere")->unlisted = true;
    add_id(&aap.orphans, "KAAP.orphan");
    add_id(&aap.orphans, "KAAP.deleted-orphan")->unlisted = true;
    assert_places(false, 8, 2, "KAAP.expired");
    assert_places(true, 8, 2, "KAAP.expired");
}

static void what_is_of_the_least_use_goes_first(void **unused)
{
    strcpy(config.on_rotate, "none");
    add("KAAP.superseded", 20);
    add("KAAP.ends-first", 10);
    add("KAAP.current", 100);
    assert_places(false, 3, 0, NULL); /* a person says what goes */
    assert_places(true, 3, 2, "KAAP.ends-first");
    add_id(&aap.orphans, "KAAP.orphan");
    assert_places(false, 4, 1, "KAAP.orphan");
    assert_places(true, 4, 3, "KAAP.orphan");
    keys[0].not_after_time = now; /* this moment */
    assert_places(false, 4, 2, "KAAP.superseded");
    keys[1].not_after_time = now - 1;
    assert_places(false, 4, 3, "KAAP.ends-first");
}

static void what_others_have_or_nobody_knows_stays(void **unused)
{
    add("KAAP.adopted", -10)->adopted = true;
    add("KAAP.current", -10)->adopted = true; /* expired, too */
    add_foreign("KAAP.foreign", -10);
    add_foreign("KAAP.candidate", -10);
    add_id(&aap.candidates, "KAAP.candidate");
    add_id(&aap.rejected, "KAAP.rejected")->not_after = now + 1;
    add_id(&aap.rejected, "KAAP.no-date");
    assert_places(true, 6, 0, NULL);
    aap.rejected->next->not_after = now; /* of no use to a newer aapfs either */
    assert_places(false, 6, 1, "KAAP.rejected");
}

/* Nobody can use it; its files stay readable without it. */
static void a_current_key_that_has_expired_goes_after_others_that_have(void **unused)
{
    add("KAAP.old", -20);
    add("KAAP.current", -10);
    add_foreign("KAAP.foreign", 10);
    add_id(&aap.orphans, "KAAP.orphan");
    assert_places(false, 4, 3, "KAAP.old");
    keys[0].gone = true;
    assert_places(false, 3, 2, "KAAP.current");
    keys[1].not_after_time = now + 1;
    assert_places(false, 3, 1, "KAAP.orphan");
    keys[1].not_after_time = now;
    keys[1].gone = keys[1].gone_expired = true;
    assert_places(true, 2, 1, "KAAP.orphan");
}

static void what_is_scheduled_stays(void **unused)
{
    strcpy(config.on_rotate, "none");
    add("KAAP.current", 100);
    add("KAAP.later", 400)->scheduled = true;
    aap.current = &keys[0];
    keys[1].not_before_time = now + day;
    add_foreign("KAAP.foreign", 10);
    assert_places(true, 3, 0, NULL);
    keys[1].not_before_time = now; /* it is about to become the current one */
    assert_places(true, 3, 0, NULL);
    keys[1].begun = true;
    aap.current = &keys[1];
    assert_places(true, 3, 1, "KAAP.current");
}

/* Three tries on the day of the installation: the applications were told of the first, if of any. */
static void what_is_in_use_stays(void **unused)
{
    add("KAAP.1", 10);
    add("KAAP.2", 10);
    add("KAAP.3", 10);
    tell("KAAP.1");
    assert_places(true, 3, 1, "KAAP.2");
    tell("");
    assert_places(true, 3, 1, "KAAP.1"); /* not known: the newest */
    tell("KAAP.gone");
    assert_places(true, 3, 1, "KAAP.1");
    tell("KAAP.3");
    assert_places(true, 3, 2, "KAAP.1");
    tell("KAAP.1");
    strcpy(config.on_rotate, "exit 3");
    assert_places(true, 3, 1, "KAAP.2");
    strcpy(config.on_rotate, "none");
    assert_places(true, 3, 2, "KAAP.1");
    config.on_rotate[0] = '\0';
    keys[0].not_after_time = now - 1; /* what nobody can use is not in use: the next one that may be is */
    assert_places(true, 3, 1, "KAAP.1");
}

static void a_creation_frees_as_many_as_it_needs_or_none(void **unused)
{
    struct places places;
    add("KAAP.expired", -1);
    add("KAAP.current", 10);
    add_foreign("KAAP.foreign", 1);
    places_look(&aap, now, false, &places);
    assert_true(places_are_enough(&places, 3));
    assert_false(places_are_enough(&places, 2)); /* one that is freed would not be enough */
    add_foreign("KAAP.another", 1);
    places_look(&aap, now, false, &places);
    assert_false(places_are_enough(&places, 3));
    assert_true(places_are_enough(&places, 4));
}

static void a_rotation_that_is_to_come_is_looked_at_with_its_own_time(void **unused)
{
    add("KAAP.superseded", 10);
    add("KAAP.current", 100);
    tell("KAAP.superseded");
    assert_true(places_allow_rotation(&aap, now, false));
    add_foreign("KAAP.foreign", 1);
    assert_false(places_allow_rotation(&aap, now, false));
    assert_true(places_allow_rotation(&aap, now + 10 * day, false));
    add_foreign("KAAP.another", 1);
    assert_false(places_allow_rotation(&aap, now + 10 * day, false));
}

/* One place is left for a key that is lost with its host; what others have there takes it, and max_keys holds. */
static void a_fleet_leaves_a_place(void **unused)
{
    struct places places;
    add("KAAP.superseded", 10);
    places_look(&aap, now, true, &places);
    assert_int_equal(places_most(&places, &aap, false), 3);
    assert_int_equal(places_most(&places, &aap, true), 2);
    add("KAAP.current", 100);
    tell("KAAP.superseded"); /* and not of the current one */
    assert_true(places_allow_rotation(&aap, now, false));
    assert_false(places_allow_rotation(&aap, now, true));
    tell("KAAP.current");
    assert_true(places_allow_rotation(&aap, now, true));
    add_id(&aap.orphans, "KAAP.lost");
    places_look(&aap, now, true, &places);
    assert_int_equal(places_most(&places, &aap, true), 3);
    assert_int_equal(places.filled, 3);
    assert_string_equal(places.first.client_key_id, "KAAP.lost");
    add_foreign("KAAP.foreign", 10);
    places_look(&aap, now, true, &places);
    assert_int_equal(places_most(&places, &aap, true), 3);
    config.max_keys = 2;
    assert_int_equal(places_most(&places, &aap, true), 2);
    config.max_keys = 9;
    assert_int_equal(places_most(&places, &aap, true), 9); /* two are others' */
    aap.foreign = NULL;
    aap.orphans = NULL;
    places_look(&aap, now, true, &places);
    assert_int_equal(places_most(&places, &aap, true), 8);
}

static void each_place_is_told_with_what_frees_it(void **unused)
{
    char text[PLACES_TEXT_SIZE], long_text[1024], id[64];
    struct places places;
    add("KAAP.old", 10);
    add("KAAP.now", 10);
    add_foreign("KAAP.other", 10);
    places_look(&aap, now, true, &places);
    places_tell(&places, 3, now, text, sizeof(text));
    assert_string_equal(text, "KMS gives this AAP 3 client keys: KAAP.now (made here, current), KAAP.old (made here, "
                              "superseded, in use; delete), KAAP.other (made elsewhere; delete-foreign); write such a word "
                              "and the id to control");
    keys[1].not_after_time = now;
    keys[1].adopted = true;
    places_look(&aap, now, true, &places);
    places_tell(&places, 3, now, text, sizeof(text));
    assert_non_null(strstr(text, "KAAP.now (adopted, current; expired: KMS's console frees it)"));
    /* three ids of KMS's size are told whole */
    for (size_t i = 0; i < 3; i++)
        memset(strcpy(id, "KAAP.66abf237-63f6-4625-b8cf-47e1086e1234") + 40, 'a' + (int)i, 1),
            strcpy(i < 2 ? keys[i].client_key_id : foreign[0].client_key_id, id);
    places_look(&aap, now, true, &places);
    places_tell(&places, 3, now, text, sizeof(text));
    assert_non_null(strstr(text, "47e1086e123a") && strstr(text, "47e1086e123b") ? strstr(text, "id to control") : NULL);
    for (int i = 0; i < 7; i++)
        add_foreign("KAAP.more", 10);
    places_look(&aap, now, true, &places);
    places_tell(&places, 3, now, long_text, sizeof(long_text));
    assert_non_null(strstr(long_text, " and 2 more"));
    char small[40];
    places_tell(&places, 3, now, small, sizeof(small));
    assert_int_equal(strlen(small), sizeof(small) - 1);
}

/* Whose quota was raised, or who has set max_keys lower. */
static void what_does_not_fit_is_counted_and_nothing_is_advised_that_is_not_there(void **unused)
{
    static const char advice[] = "; write such a word and the id to control";
    char text[PLACES_TEXT_SIZE], id[64];
    struct places places;
    add("KAAP.now", 10);
    for (int i = 0; i < 7; i++) {
        snprintf(id, sizeof(id), "KAAP.66abf237-63f6-4625-b8cf-47e1086e000%d", i);
        add_foreign(id, 10);
    }
    places_look(&aap, now, true, &places);
    places_tell(&places, 8, now, text, sizeof(text));
    assert_string_equal(text + strlen(text) - strlen(advice), advice);
    const char *more = strstr(text, " and ");
    assert_true(more && memcmp(more - strlen("; delete-foreign)"), "; delete-foreign)", strlen("; delete-foreign)")) == 0);
    aap.foreign = NULL;
    places_look(&aap, now, true, &places);
    places_tell(&places, 1, now, text, sizeof(text));
    assert_string_equal(text, "KMS gives this AAP 1 client key: KAAP.now (made here, current); "
                              "max_keys in the configuration leaves no place beside it, and KMS documents 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_key_that_kms_has_fills_a_place, begin),
        cmocka_unit_test_setup(what_is_of_the_least_use_goes_first, begin),
        cmocka_unit_test_setup(what_others_have_or_nobody_knows_stays, begin),
        cmocka_unit_test_setup(a_current_key_that_has_expired_goes_after_others_that_have, begin),
        cmocka_unit_test_setup(what_is_scheduled_stays, begin),
        cmocka_unit_test_setup(what_is_in_use_stays, begin),
        cmocka_unit_test_setup(a_creation_frees_as_many_as_it_needs_or_none, begin),
        cmocka_unit_test_setup(a_rotation_that_is_to_come_is_looked_at_with_its_own_time, begin),
        cmocka_unit_test_setup(a_fleet_leaves_a_place, begin),
        cmocka_unit_test_setup(each_place_is_told_with_what_frees_it, begin),
        cmocka_unit_test_setup(what_does_not_fit_is_counted_and_nothing_is_advised_that_is_not_there, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
