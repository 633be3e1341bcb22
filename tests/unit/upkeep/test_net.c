/* The net below the queue: what a look finds that nobody has announced is said, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/sync/client_keys.h"
#include "fs/upkeep/net.h"

enum { AAPS = 3 };

static struct engine *engine;
static struct net *net;
static unsigned int looks;
static void (*finds)(struct registry_aap *aap);

static int64_t boottime_ms = 1000000;

int64_t __wrap_clock_boottime_ms(void)
{
    return boottime_ms;
}

static const struct client_keys_walker walker; /* nobody walks */

static int start(void **state)
{
    static struct config config;
    static struct engine made;
    config_defaults(&config);
    made = (struct engine){.parts = {.config = &config}};
    engine = &made;
    *state = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    engine->parts.registry = registry_new(numbers_open(*state));
    for (uint32_t aap = 1; aap <= AAPS; aap++) {
        char name[8];
        snprintf(name, sizeof(name), "aap-%u", aap);
        assert_non_null(registry_add_aap(engine->parts.registry, name, &config.defaults));
        assert_non_null(engine_aap(engine, aap));
    }
    assert_true(client_keys_start(engine, &walker));
    net = net_new();
    looks = 0;
    finds = NULL;
    return 0;
}

static int end(void **state)
{
    free(net);
    client_keys_end(engine);
    engine_free_aaps(engine);
    registry_free(engine->parts.registry);
    munmap(*state, numbers_size());
    return 0;
}

static void look(struct engine *of, uint32_t aap)
{
    looks++;
    if (finds && aap == 2)
        finds(registry_aap(of->parts.registry, aap));
}

/* One round: what was logged meanwhile. */
static const char *round_of_looks(void)
{
    static char text[1024];
    FILE *file = tmpfile();
    int error = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    boottime_ms += net_tend(engine, net, look);
    dup2(error, STDERR_FILENO);
    close(error);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void make_due(struct registry_aap *aap)
{
    aap->rotation.state = ROTATION_DUE;
}

static void end_use(struct registry_aap *aap)
{
    aap->in_use_until++;
}

static void want_a_look(struct registry_aap *aap)
{
    due_at(&engine->looks, &engine_noted(engine, aap->number)->look, boottime_ms + 60000);
}

static void nothing_is_said_where_the_queue_is_right(void **state)
{
    assert_string_equal(round_of_looks(), "");
    assert_int_equal(looks, AAPS);
    assert_string_equal(round_of_looks(), "");
    assert_int_equal(looks, 2 * AAPS);
}

static void what_it_finds_is_said_once(void (*found)(struct registry_aap *))
{
    finds = found;
    const char *text = round_of_looks();
    assert_non_null(strstr(text, "aap-2: something changed or came due that was not awaited"));
    assert_null(strchr(strchr(text, '\n') + 1, '\n'));
    engine->aaps[2]->look.when = INT64_MAX;
    assert_string_equal(round_of_looks(), "");
}

static void a_rotation_that_came_due(void **state)
{
    what_it_finds_is_said_once(make_due);
}

static void a_key_that_is_no_longer_in_use(void **state)
{
    what_it_finds_is_said_once(end_use);
}

static void a_look_that_was_never_asked_for(void **state)
{
    what_it_finds_is_said_once(want_a_look);
}

static void what_is_about_to_be_looked_at_is_left_alone(void **state)
{
    finds = make_due;
    due_at(&engine->looks, &engine->aaps[2]->look, boottime_ms + 2000);
    assert_string_equal(round_of_looks(), "");
    assert_int_equal(looks, AAPS - 1);
}

static void what_is_under_way_is_left_alone(void **state)
{
    static struct operation operation;
    finds = make_due;
    engine->aaps[2]->running = &operation;
    assert_string_equal(round_of_looks(), "");
    engine->aaps[2]->running = NULL;
    engine->aaps[2]->upkeep.deleting = &operation;
    assert_string_equal(round_of_looks(), "");
    engine->aaps[2]->upkeep.deleting = NULL;
    what_it_finds_is_said_once(make_due);
}

static void nobody_is_looked_at_before_the_round_is_over(void **state)
{
    int64_t wait_ms = net_tend(engine, net, look);
    boottime_ms += wait_ms - 1;
    assert_int_equal(net_tend(engine, net, look), 1);
    assert_int_equal(looks, AAPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_said_where_the_queue_is_right, start, end),
        cmocka_unit_test_setup_teardown(a_rotation_that_came_due, start, end),
        cmocka_unit_test_setup_teardown(a_key_that_is_no_longer_in_use, start, end),
        cmocka_unit_test_setup_teardown(a_look_that_was_never_asked_for, start, end),
        cmocka_unit_test_setup_teardown(what_is_about_to_be_looked_at_is_left_alone, start, end),
        cmocka_unit_test_setup_teardown(what_is_under_way_is_left_alone, start, end),
        cmocka_unit_test_setup_teardown(nobody_is_looked_at_before_the_round_is_over, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
