/* How long the kernel may believe a name or attributes: what is at rest for long, what is about to change shortly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "fs/tree/lifetime.h"

enum { SETTLE = 10000, NOW = 1000000, LOOSE = SETTLE / 2 };

static struct config config;
static struct registry *registry;
static struct registry_aap *aap;
static struct numbered_aap *numbered;
static struct registry_key *key;
static void *memory;

static struct registry_key *add_key(const char *id, int64_t made_ns)
{
    struct client_key forms = {0};
    const struct registry_new_key new_key = {.client_key_id = id, .key_algorithm = "RSA_2048", .not_before = "",
                                             .not_after = "", .made_ns = made_ns, .forms = &forms};
    struct registry_key *added = registry_add_key(registry, aap, &new_key);
    struct numbered_key *of = numbers_key(registry_numbers(registry), added->number);
    of->shown = of->settled = true;
    return added;
}

static uint32_t make_current(struct registry_key *of)
{
    return registry_make_current(registry, aap, of, of->made_ns);
}

static void show(uint32_t generation)
{
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
        numbers_show(registry_numbers(registry), generation, (enum published_name)i, NOW);
}

/* An AAP with one key, all of it published. */
static int begin(void **unused)
{
    config_defaults(&config);
    memory = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    registry = registry_new(numbers_open(memory));
    aap = registry_add_aap(registry, "payments", &config.defaults);
    numbered = numbers_aap(registry_numbers(registry), aap->number);
    numbered->shown = numbered->settled = true;
    key = add_key("KAAP.1", 1000);
    assert_int_equal(make_current(key), 1);
    show(1);
    numbered->settled_generation = 1;
    return 0;
}

static int end(void **unused)
{
    registry_free(registry);
    munmap(memory, numbers_size());
    config_clear(&config);
    return 0;
}

static const struct moment moment = {NOW + 1, SETTLE, false, LIFETIME_AT_REST_MS};

static void lives(struct node node, int64_t name_ms, int64_t attributes_ms)
{
    assert_int_equal(lifetime_of_name_ms(registry, node, &moment), name_ms);
    assert_int_equal(lifetime_of_attributes_ms(registry, node, &moment), attributes_ms);
}

static struct node published(uint32_t generation)
{
    return (struct node){.kind = NODE_KIND_PUBLISHED, .file = PUBLISHED_CLIENT_KEY_ID, .number = generation};
}

#define IN_AAP(of) ((struct node){.kind = of, .number = 1})

static void what_is_published_to_the_end_is_at_rest(void **unused)
{
    lives((struct node){.kind = NODE_KIND_ROOT}, LIFETIME_AT_REST_MS, LIFETIME_AT_REST_MS);
    lives((struct node){.kind = NODE_KIND_MOUNT_CONTROL}, LIFETIME_AT_REST_MS, LIFETIME_AT_REST_MS);
    static const enum node_kind kinds[] = {NODE_KIND_AAP, NODE_KIND_AAP_CONTROL, NODE_KIND_KEYS, NODE_KIND_KEY,
                                           NODE_KIND_KEY_FILE, NODE_KIND_PUBLISHED};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        lives(IN_AAP(kinds[i]), LIFETIME_AT_REST_MS, LIFETIME_AT_REST_MS);
    lives((struct node){.kind = NODE_KIND_REPORT, .number = 1}, 0, SETTLE);
}

static void a_name_that_a_rotation_is_about_to_move_is_loose(void **unused)
{
    make_current(add_key("KAAP.2", 2000));
    assert_false(numbered->loose);
    lives(published(1), LOOSE, SETTLE);
    lives(IN_AAP(NODE_KIND_AAP), LIFETIME_AT_REST_MS, LIFETIME_AT_REST_MS); /* its directory is not */
    numbered->loose = true;
    show(2);
    lives(published(1), LOOSE, SETTLE - 1 - 250); /* a moment before it follows */
    lives(published(2), LOOSE, SETTLE);
    numbered->settled_generation = 2;
    lives(published(2), LIFETIME_AT_REST_MS, LIFETIME_AT_REST_MS);
    lives(published(1), LOOSE, SETTLE - 1 - 250);
    /* what was loosened for one rotation is not for the next */
    make_current(add_key("KAAP.3", 3000));
    assert_false(numbered->loose);
}

static void one_that_comes_before_the_other_has_ended_stays_loose(void **unused)
{
    make_current(add_key("KAAP.2", 2000));
    numbered->loose = true;
    make_current(add_key("KAAP.3", 3000));
    assert_true(numbered->loose);
    lives(published(1), LOOSE, SETTLE);
}

static void a_directory_that_comes_or_goes_is_loose(void **unused)
{
    key->deleted = true;
    lives(IN_AAP(NODE_KIND_KEY), LOOSE, SETTLE);
    lives(IN_AAP(NODE_KIND_KEY_FILE), LOOSE, SETTLE);
    key->deleted = false;
    numbers_key(registry_numbers(registry), 1)->settled = false;
    lives(IN_AAP(NODE_KIND_KEY), LOOSE, SETTLE);
    numbers_key(registry_numbers(registry), 1)->settled = true;
    numbered->removed = true;
    static const enum node_kind kinds[] = {NODE_KIND_AAP, NODE_KIND_AAP_CONTROL, NODE_KIND_KEYS, NODE_KIND_KEY,
                                           NODE_KIND_KEY_FILE, NODE_KIND_PUBLISHED};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        lives(IN_AAP(kinds[i]), LOOSE, SETTLE);
}

static void what_means_nothing_is_loose(void **unused)
{
    lives((struct node){.kind = NODE_KIND_AAP, .number = 7}, LOOSE, SETTLE);
    lives((struct node){.kind = NODE_KIND_KEY, .number = 7}, LOOSE, SETTLE);
    assert_int_equal(lifetime_of_name_ms(registry, published(7), &moment), LOOSE);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(what_is_published_to_the_end_is_at_rest),
        TEST(a_name_that_a_rotation_is_about_to_move_is_loose),
        TEST(one_that_comes_before_the_other_has_ended_stays_loose),
        TEST(a_directory_that_comes_or_goes_is_loose),
        TEST(what_means_nothing_is_loose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
