/* What is counted, and how it is told to monitors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "fs/model/counters.h"
#include "fs/model/numbers.h"
#include "fs/model/registry.h"
#include "fs/tree/metrics.h"

static const int64_t now = 1795000000;

struct world {
    void *memory;
    struct registry *registry;
    struct counters *counters;
    struct registry_aap *aap;
    struct config_aap config;
};

static int make_world(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    /* sparse, and unlike what malloc(3) gives, never written for the sake of MALLOC_PERTURB_ */
    world->memory = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (world->memory == MAP_FAILED)
        return -1;
    world->registry = registry_new(numbers_open(world->memory));
    world->counters = counters_open(calloc(1, sizeof(struct counters)));
    registry_lock(world->registry);
    world->aap = registry_add_aap(world->registry, "payments", &world->config);
    *state = world;
    return world->aap ? 0 : -1;
}

static int free_world(void **state)
{
    struct world *world = *state;
    registry_unlock(world->registry);
    registry_free(world->registry);
    free(world->counters);
    munmap(world->memory, numbers_size());
    free(world);
    return 0;
}

static char *text_of(const struct world *world)
{
    const struct metrics_source source = {world->registry, world->counters, 3};
    char *text = metrics_text(&source, now);
    assert_non_null(text);
    return text;
}

static void assert_says(const struct world *world, const char *line)
{
    char *text = text_of(world);
    if (!strstr(text, line))
        fail_msg("not there: %s", line);
    free(text);
}

static void an_aap_is_told_with_its_times_and_its_state(void **state)
{
    struct world *world = *state;
    struct client_key forms = {0};
    const struct registry_new_key new_key = {
        .client_key_id = "KAAP.1",
        .key_algorithm = "RSA_2048",
        .not_before = "2026-11-18T00:00:00Z",
        .not_after = "2027-11-18T00:00:00Z",
        .not_before_time = now - 60,
        .not_after_time = now + 100 * 86400,
        .made_ns = 1,
        .forms = &forms,
    };
    struct registry_key *key = registry_add_key(world->registry, world->aap, &new_key);
    assert_int_not_equal(registry_make_current(world->registry, world->aap, key, 1), 0);
    world->aap->rotation.next = now + 5;
    world->aap->last_hook = (struct registry_hook){.time = now, .ok = false};
    assert_says(world, "\naapfs_client_key_not_after_seconds{aap=\"payments\",client_key_id=\"KAAP.1\"} 1803640000\n");
    assert_says(world, "\naapfs_next_rotation_timestamp_seconds{aap=\"payments\"} 1795000005\n");
    assert_says(world, "\naapfs_last_hook_success{aap=\"payments\"} 0\n");
    assert_says(world, "\naapfs_aap_state{aap=\"payments\",state=\"active\"} 1\n");
    assert_says(world, "\naapfs_aap_state{aap=\"payments\",state=\"expired\"} 0\n");
    assert_says(world, "\naapfs_worker_restarts_total 3\n");
    char *text = text_of(world);
    assert_null(strstr(text, "aapfs_client_key_in_use_not_after_seconds{"));
    free(text);
    world->aap->in_use_until = now + 9;
    assert_says(world, "\naapfs_client_key_in_use_not_after_seconds{aap=\"payments\"} 1795000009\n");
}

static void labels_are_escaped(void **state)
{
    struct world *world = *state;
    counters_add_request(world->counters, "GetClientKey", "a\"b\\c\nd", -1);
    assert_says(world, "\naapfs_kms_requests_total{operation=\"GetClientKey\",code=\"a\\\"b\\\\c\\nd\"} 1\n");
}

static void durations_add_up(void **state)
{
    struct world *world = *state;
    const int64_t times_ms[] = {0, 10, 11, 1000, 29999, 30001, 500000};
    for (size_t i = 0; i < sizeof(times_ms) / sizeof(times_ms[0]); i++)
        counters_add_request(world->counters, "GetClientKey", "", times_ms[i]);
    counters_add_request(world->counters, "GetClientKey", "", -1); /* not known */
    assert_says(world, "{operation=\"GetClientKey\",code=\"OK\"} 8\n");
    assert_says(world, "_bucket{le=\"0.01\"} 2\n");
    assert_says(world, "_bucket{le=\"0.025\"} 3\n");
    assert_says(world, "_bucket{le=\"1\"} 4\n");
    assert_says(world, "_bucket{le=\"30\"} 5\n");
    assert_says(world, "_bucket{le=\"+Inf\"} 7\n");
    assert_says(world, "_sum 561.021\n");
    assert_says(world, "_count 7\n");
}

static void offsets_have_their_sign(void **state)
{
    struct world *world = *state;
    registry_mount(world->registry)->clock_offset_ms = -50;
    assert_says(world, "\naapfs_clock_offset_seconds -0.050\n");
    registry_mount(world->registry)->clock_offset_ms = 61001;
    assert_says(world, "\naapfs_clock_offset_seconds 61.001\n");
}

static void there_are_only_so_many_rows(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 1000; i++) {
        char code[16];
        snprintf(code, sizeof(code), "Code%d", i);
        counters_add_request(world->counters, "GetClientKey", code, -1);
    }
    counters_add_request(world->counters, "GetClientKey", "Code0", -1);
    assert_says(world, "{operation=\"GetClientKey\",code=\"Code0\"} 2\n");
    assert_says(world, "{operation=\"other\",code=\"other\"} 873\n");
}

/* Whatever a worker before has left, what is read of it ends. */
static void counts_that_make_no_sense_do_no_harm(void **state)
{
    struct world *world = *state;
    memset(world->counters, 'x', sizeof(*world->counters));
    counters_open(world->counters);
    counters_add_request(world->counters, "GetClientKey", "", 1);
    free(text_of(world));
}

static void long_texts_are_one_row(void **state)
{
    struct world *world = *state;
    char code[96];
    memset(code, 'c', sizeof(code));
    code[95] = '\0';
    counters_add_request(world->counters, "GetClientKey", code, -1);
    counters_add_request(world->counters, "GetClientKey", code, -1);
    assert_int_equal(world->counters->requests[0].count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_aap_is_told_with_its_times_and_its_state, make_world, free_world),
        cmocka_unit_test_setup_teardown(labels_are_escaped, make_world, free_world),
        cmocka_unit_test_setup_teardown(durations_add_up, make_world, free_world),
        cmocka_unit_test_setup_teardown(offsets_have_their_sign, make_world, free_world),
        cmocka_unit_test_setup_teardown(there_are_only_so_many_rows, make_world, free_world),
        cmocka_unit_test_setup_teardown(counts_that_make_no_sense_do_no_harm, make_world, free_world),
        cmocka_unit_test_setup_teardown(long_texts_are_one_row, make_world, free_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
