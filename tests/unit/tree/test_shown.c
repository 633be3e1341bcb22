/* Which generation a published file shows, and how long the kernel may believe it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "fs/applications/follow.h"
#include "fs/tree/content.h"

enum { SETTLE = 10000, BEGAN = 1000000 };

static struct config config;
static struct registry *registry;
static struct registry_aap *aap;
static struct registry_key *keys[8];
static void *memory;

static const struct content_owner owner = {0, 0, 1};

/* Key N, whose JSON is N + 1 times its digit; made current. The first one was shown always, the others at SHOWN_MS. */
static void add_key(int n, int64_t shown_ms)
{
    char id[16], *json = OPENSSL_zalloc(16), *certificate = OPENSSL_zalloc(8);
    snprintf(id, sizeof(id), "KAAP.%d", n);
    memset(json, '0' + n, (size_t)n + 1);
    memset(certificate, 'c', 4);
    struct client_key forms = {.json = {(unsigned char *)json, (size_t)n + 1}};
    if (n != 2)
        forms.certificate_pem = (struct client_key_bytes){(unsigned char *)certificate, 4};
    else
        OPENSSL_free(certificate);
    const struct registry_new_key new_key = {.client_key_id = id,
                                             .key_algorithm = "RSA_2048",
                                             .not_before = "2026-11-24T00:00:00Z",
                                             .not_after = "2027-11-24T00:00:00Z",
                                             .made_ns = 1000 + n,
                                             .forms = &forms};
    keys[n] = registry_add_key(registry, aap, &new_key);
    assert_non_null(keys[n]);
    uint32_t generation = registry_make_current(registry, aap, keys[n], 1000 + n);
    assert_int_equal(generation, n + 1);
    if (shown_ms)
        for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
            numbers_show(registry_numbers(registry), generation, (enum published_name)i, shown_ms);
}

static int begin(void **unused)
{
    config_defaults(&config);
    memory = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    registry = registry_new(numbers_open(memory));
    aap = registry_add_aap(registry, "payments", &config.defaults);
    add_key(0, NUMBERS_SHOWN_ALWAYS);
    return 0;
}

static int end(void **unused)
{
    assert_non_null(numbers_open(memory));
    registry_free(registry);
    munmap(memory, numbers_size());
    config_clear(&config);
    return 0;
}

static struct node node_of(enum published_name name)
{
    return (struct node){.kind = NODE_KIND_PUBLISHED, .file = name, .number = 1};
}

static const struct node file = {.kind = NODE_KIND_PUBLISHED, .file = PUBLISHED_CLIENT_KEY_JSON, .number = 1};

/* Asks for the first generation's attributes at NOW_MS; how long they hold. */
static int64_t ask(int64_t now_ms, bool reading, struct stat *attributes)
{
    const struct moment moment = {now_ms, SETTLE, reading};
    assert_int_equal(content_attributes(registry, NULL, &owner, file, &moment, attributes), 0);
    return shown_timeout_ms(registry, file, &moment);
}

static int shown_at(int64_t now_ms, bool reading)
{
    struct stat attributes;
    ask(now_ms, reading, &attributes);
    assert_int_equal(attributes.st_mtim.tv_nsec, 1000 + attributes.st_size - 1);
    return (int)attributes.st_size - 1;
}

/* What a READ gets, whenever it comes. */
static int read_at(int64_t now_ms)
{
    const struct moment moment = {now_ms, SETTLE, true};
    const void *data;
    size_t size;
    assert_int_equal(content_bytes(registry, NULL, file, &moment, &data, &size), 0);
    assert_int_equal(((const char *)data)[0] - '0', size - 1);
    return (int)size - 1;
}

static void a_superseded_file_follows_after_the_settle_time(void **unused)
{
    add_key(1, BEGAN);
    assert_int_equal(shown_at(BEGAN, false), 0);
    assert_int_equal(shown_at(BEGAN + SETTLE - 1, false), 0);
    assert_int_equal(shown_at(BEGAN + SETTLE, false), 1);
}

static void it_shows_what_was_current_the_settle_time_ago(void **unused)
{
    add_key(1, BEGAN);
    add_key(2, BEGAN + 10);
    add_key(3, BEGAN + 5000);
    add_key(4, 0); /* on its way */
    assert_int_equal(shown_at(BEGAN + SETTLE + 10, false), 2);
    assert_int_equal(shown_at(BEGAN + SETTLE + 4999, false), 2);
    assert_int_equal(shown_at(BEGAN + SETTLE + 5000, false), 3);
    assert_int_equal(shown_at(BEGAN + 10 * SETTLE, false), 3);
}

static void bytes_are_of_the_attributes_that_were_told(void **unused)
{
    add_key(1, BEGAN);
    assert_int_equal(shown_at(BEGAN + SETTLE - 1, false), 0);
    assert_int_equal(read_at(BEGAN + SETTLE + 1), 0);
    /* whoever reads on ends as he began, for a while */
    assert_int_equal(shown_at(BEGAN + SETTLE + FOLLOW_GRACE_MS - 1, true), 0);
    assert_int_equal(read_at(BEGAN + SETTLE + FOLLOW_GRACE_MS - 1), 0);
    assert_int_equal(shown_at(BEGAN + SETTLE + FOLLOW_GRACE_MS, true), 1);
    assert_int_equal(read_at(BEGAN + SETTLE + FOLLOW_GRACE_MS), 1);
    /* and what was told never goes back */
    assert_int_equal(shown_at(BEGAN, true), 1);
}

static void a_look_moves_it_at_once(void **unused)
{
    add_key(1, BEGAN);
    assert_int_equal(shown_at(BEGAN + SETTLE, false), 1);
    assert_int_equal(shown_at(BEGAN + SETTLE, true), 1);
    assert_int_equal(read_at(BEGAN + SETTLE), 1);
}

static void attributes_end_before_the_switch(void **unused)
{
    struct stat attributes;
    assert_int_equal(ask(BEGAN, false, &attributes), SETTLE);
    add_key(1, BEGAN);
    add_key(2, BEGAN + 5000);
    assert_int_equal(ask(BEGAN, false, &attributes), SETTLE - 250);
    assert_int_equal(ask(BEGAN + 4000, false, &attributes), SETTLE - 4000 - 250);
    assert_int_equal(ask(BEGAN + SETTLE - 300, false, &attributes), 50);
    assert_int_equal(ask(BEGAN + SETTLE - 299, false, &attributes), 0);
    assert_int_equal(ask(BEGAN + SETTLE + 1, true, &attributes), 0); /* still the old one */
    assert_int_equal(ask(BEGAN + SETTLE + 1, false, &attributes), 5000 - 1 - 250);
    assert_int_equal(ask(BEGAN + SETTLE + 5000, false, &attributes), SETTLE);
    assert_int_equal(attributes.st_nlink, 0);
}

static void the_next_key_stands_in_for_one_that_is_gone(void **unused)
{
    add_key(1, BEGAN);
    add_key(2, BEGAN + 10);
    registry_remove_key(registry, aap, keys[0]);
    assert_int_equal(shown_at(BEGAN + 20, false), 0); /* until it is wiped */
    registry_wipe_key(registry, keys[0]);
    assert_int_equal(shown_at(BEGAN + 20, false), 1);
    registry_remove_key(registry, aap, keys[1]);
    registry_wipe_key(registry, keys[1]);
    assert_int_equal(shown_at(BEGAN + 20, false), 2);
}

static void a_file_that_the_newer_key_lacks_stays(void **unused)
{
    const struct moment moment = {BEGAN + 2 * SETTLE, SETTLE, false};
    struct stat attributes;
    add_key(1, BEGAN);
    add_key(2, BEGAN + 10);
    assert_int_equal(content_attributes(registry, NULL, &owner, node_of(PUBLISHED_CERTIFICATE_PEM), &moment,
                                        &attributes), 0);
    assert_int_equal(attributes.st_mtim.tv_nsec, 1001);
}

static void a_held_link_follows(void **unused)
{
    const struct moment before = {BEGAN + 1, SETTLE, false}, after = {BEGAN + SETTLE, SETTLE, false};
    const void *data;
    size_t size;
    add_key(1, BEGAN);
    assert_int_equal(content_bytes(registry, NULL, node_of(PUBLISHED_CURRENT), &before, &data, &size), 0);
    assert_memory_equal(data, "keys/KAAP.0", size);
    assert_int_equal(content_bytes(registry, NULL, node_of(PUBLISHED_CURRENT), &after, &data, &size), 0);
    assert_memory_equal(data, "keys/KAAP.1", size);
}

/* An earlier worker's words are checked like input. */
static void generations_that_make_no_sense_are_refused(void **unused)
{
    struct numbers *numbers = registry_numbers(registry);
    add_key(1, BEGAN);
    uint32_t orders = numbers_add_aap(numbers, "orders");
    uint32_t other = numbers_add_generation(numbers, numbers_add_key(numbers, orders, "KAAP.o"), 5);
    struct numbered_generation *second = numbers_generation(numbers, 2);
    const struct {
        uint32_t *place, wrong;
    } wrongs[] = {
        {&second->previous, 2},
        {&second->previous, UINT32_MAX},
        {&numbers_generation(numbers, other)->previous, 1},
        {&second->told[3], 1},
        {&second->told[3], other},
        {&second->told[3], UINT32_MAX},
        {&numbers_aap(numbers, 1)->newest, other},
        {&numbers_aap(numbers, 1)->followed, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        uint32_t before = *wrongs[i].place;
        *wrongs[i].place = wrongs[i].wrong;
        assert_null(numbers_open(memory));
        *wrongs[i].place = before;
        assert_non_null(numbers_open(memory));
    }
    second->shown_ms = INT64_MAX;
    assert_null(numbers_open(memory));
    second->shown_ms = INT64_MIN;
    assert_null(numbers_open(memory));
    second->shown_ms = BEGAN;
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_superseded_file_follows_after_the_settle_time),
        TEST(it_shows_what_was_current_the_settle_time_ago),
        TEST(bytes_are_of_the_attributes_that_were_told),
        TEST(a_look_moves_it_at_once),
        TEST(attributes_end_before_the_switch),
        TEST(the_next_key_stands_in_for_one_that_is_gone),
        TEST(a_file_that_the_newer_key_lacks_stays),
        TEST(a_held_link_follows),
        TEST(generations_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
