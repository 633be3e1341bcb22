/* An AAP's status: what of it is where, and what its Note says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "fs/model/numbers.h"
#include "fs/model/registry.h"
#include "fs/tree/report_aap.h"

static const int64_t now = 1795000000, day = 86400;

struct world {
    void *memory;
    struct registry *registry;
    struct registry_aap *aap;
    struct config_aap config;
};

static struct registry_key *add_key(struct world *world, const char *id, int64_t from, int64_t until)
{
    struct client_key forms = {0};
    const struct registry_new_key new_key = {
        .client_key_id = id,
        .key_algorithm = "RSA_2048",
        .not_before = "2026-11-18T00:00:00Z",
        .not_after = "2027-11-18T00:00:00Z",
        .not_before_time = from,
        .not_after_time = until,
        .made_ns = registry_next_made_ns(world->aap, 1000000000),
        .dates_given = true,
        .scheduled = from > now + 60, /* as rotation.c has it */
        .forms = &forms,
    };
    struct registry_key *key = registry_add_key(world->registry, world->aap, &new_key);
    assert_non_null(key);
    return key;
}

static int make_world(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    /* sparse, and unlike what malloc(3) gives, never written for the sake of MALLOC_PERTURB_ */
    world->memory = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (world->memory == MAP_FAILED)
        return -1;
    world->registry = registry_new(numbers_open(world->memory));
    registry_lock(world->registry);
    world->aap = registry_add_aap(world->registry, "payments", &world->config);
    struct registry_key *key = add_key(world, "KAAP.current", now - day, now + 300 * day);
    registry_make_current(world->registry, world->aap, key, 1);
    world->aap->rotation = (struct registry_rotation){.next = now + 200 * day, .state = ROTATION_PLANNED};
    *state = world;
    return 0;
}

static int free_world(void **state)
{
    struct world *world = *state;
    registry_unlock(world->registry);
    registry_free(world->registry);
    munmap(world->memory, numbers_size());
    free(world);
    return 0;
}

static void assert_member(const struct world *world, const char *name, const char *json)
{
    json_t *status = report_aap_status(world->aap, now);
    char *text = json_dumps(json_object_get(status, name), JSON_ENCODE_ANY | JSON_COMPACT);
    assert_string_equal(text, json);
    free(text);
    json_decref(status);
}

/* "": none. */
static void assert_note(const struct world *world, const char *has)
{
    json_t *status = report_aap_status(world->aap, now);
    const char *note = json_string_value(json_object_get(status, "Note"));
    if (*has ? !note || !strstr(note, has) : note != NULL)
        fail_msg("the note is: %s", note ? note : "none");
    json_decref(status);
}

static void a_key_is_in_the_list_that_it_belongs_to(void **state)
{
    struct world *world = *state;
    struct registry_key foreign = {.client_key_id = "KAAP.foreign"};
    add_key(world, "KAAP.superseded", now - 9 * day, now + day);
    add_key(world, "KAAP.soon", now + 60, now + 2 * day); /* the clocks may differ as much */
    add_key(world, "KAAP.later", now + 61, now + 2 * day);
    add_key(world, "KAAP.leaving", now - day, now + day)->deleted = true;
    world->aap->foreign = &foreign;
    assert_member(world, "Scheduled", "[\"KAAP.later\"]");
    assert_member(world, "Superseded", "[\"KAAP.soon\",\"KAAP.superseded\"]");
    assert_member(world, "Foreign", "[\"KAAP.foreign\"]");
    assert_member(world, "ClientKeyId", "\"KAAP.current\"");
    assert_member(world, "NextRotation", "\"2027-06-06T11:06:40Z\"");
    assert_member(world, "InUseUntil", "null");
    world->aap->foreign = NULL;
}

static void the_note_says_what_to_do_about_the_most_urgent(void **state)
{
    struct world *world = *state;
    struct registry_aap *aap = world->aap;
    assert_note(world, "");
    aap->busy = true;
    assert_note(world, "under way");
    aap->rotation = (struct registry_rotation){0};
    aap->current->not_after_time = now + 20 * day;
    assert_note(world, "nothing will rotate");
    aap->in_use_until = now + 10 * day;
    assert_member(world, "InUseUntil", "\"2026-11-28T11:06:40Z\"");
    assert_note(world, "on_rotate is empty");
    strcpy(world->config.on_rotate, "true");
    assert_note(world, "has not ended");
    aap->last_hook = (struct registry_hook){.time = now, .ok = false, .text = "status 1"};
    assert_note(world, "on_rotate failed");
    aap->rotation.state = ROTATION_FAILING;
    assert_note(world, "last attempt to rotate failed");
    aap->current->not_after_time = now;
    assert_note(world, "has expired");
    aap->current->gone = true;
    assert_note(world, "no longer has the current key");
    aap->rotation.state = ROTATION_BLOCKED;
    assert_note(world, "until somebody writes");
    aap->gone = true;
    assert_note(world, "does not exist");
    registry_add_id(&aap->unsaved, "KAAP.current", 1);
    assert_note(world, "not saved");
}

static void the_note_names_what_fills_the_places(void **state)
{
    struct world *world = *state;
    struct registry_aap *aap = world->aap;
    struct registry_key foreign = {.client_key_id = "KAAP.foreign", .not_after_time = now + day};
    world->config.max_keys = 2;
    aap->foreign = &foreign;
    assert_note(world, "");
    aap->failure.error.number = EDQUOT; /* somebody has written */
    assert_note(world, "no place for another client key: KMS gives this AAP 2 client keys: KAAP.current (made here, current), "
                       "KAAP.foreign (made elsewhere; delete-foreign); write");
    aap->rotation.no_place = true;
    assert_note(world, REPORT_NO_PLACE ", keys were made elsewhere: KMS gives this AAP 2");
    aap->rotation.no_place = false;
    world->config.max_keys = 3; /* one has left */
    assert_note(world, "");
    aap->foreign = NULL;
    world->config.max_keys = 1;
    aap->rotation.no_place = true;
    assert_note(world, REPORT_NO_PLACE ": KMS gives");
}

static void of_a_first_key_it_says_why_there_is_none_yet(void **state)
{
    struct world *world = *state;
    struct registry_aap *aap = world->aap;
    struct registry_key foreign = {.client_key_id = "KAAP.foreign", .not_after_time = now + day}, *had = aap->keys;
    aap->keys = aap->current = NULL;
    assert_note(world, "");
    aap->rotation = (struct registry_rotation){.first = true, .state = ROTATION_DUE};
    assert_note(world, "is made by itself");
    assert_member(world, "State", "\"none\"");
    aap->rotation.state = ROTATION_FAILING;
    assert_note(world, "last attempt to make the first key failed");
    assert_member(world, "State", "\"failing\"");
    world->config.max_keys = 1;
    aap->foreign = &foreign;
    aap->rotation.no_place = true;
    assert_note(world, REPORT_NO_FIRST_PLACE ", keys were made elsewhere: KMS gives this AAP 1");
    aap->foreign = NULL;
    aap->keys = had;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_is_in_the_list_that_it_belongs_to, make_world, free_world),
        cmocka_unit_test_setup_teardown(the_note_says_what_to_do_about_the_most_urgent, make_world, free_world),
        cmocka_unit_test_setup_teardown(the_note_names_what_fills_the_places, make_world, free_world),
        cmocka_unit_test_setup_teardown(of_a_first_key_it_says_why_there_is_none_yet, make_world, free_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
