/* When on_rotate is run, and for which key; the engine around it is this file's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "fs/applications/hook.h"
#include "fs/applications/notified.h"
#include "fs/engine/engine.h"

enum { AAP = 1, ROOM = 4 };

static struct engine engine;
static struct engine_aap notes[ROOM];
static struct config config;
static bool catching_up;
static void *memory;

/* what was asked for */
static struct run_request asked;
static unsigned int runs;
static bool refuses; /* at once, as where memory is short */

struct engine_aap *engine_aap(struct engine *of, uint32_t aap)
{
    return aap < ROOM ? &notes[aap] : NULL;
}

uint32_t engine_aap_count(const struct engine *of)
{
    return numbers_aap_count(registry_numbers(of->parts.registry));
}

int64_t engine_now(const struct engine *of)
{
    return 1000;
}

bool engine_is_caught_up(const struct engine *of, uint32_t aap)
{
    return !catching_up;
}

static char told[CLIENT_KEY_ID_SIZE];

void notified_set(struct engine *of, uint32_t aap, const char *client_key_id)
{
    strcpy(told, client_key_id);
}

void notified_changed(struct engine *of, uint32_t aap)
{
}

static void run(void *user, const struct run_request *request)
{
    asked = *request;
    runs++;
    const struct run_result refused = {RUN_NOT_STARTED, 12};
    if (refuses)
        request->done(request->user, request->aap, &refused);
}

static void end_run(enum run_ending ending, int number)
{
    const struct run_result result = {ending, number};
    asked.done(asked.user, asked.aap, &result);
}

/* A worker, on what the one before has left. */
static void start_worker(void)
{
    registry_free(engine.parts.registry);
    memset(notes, 0, sizeof(notes));
    struct numbers *numbers = numbers_open(memory);
    assert_non_null(numbers);
    engine = (struct engine){.parts = {.registry = registry_new(numbers), .config = &config, .run = run}};
    assert_non_null(registry_add_aap(engine.parts.registry, "payments", &config.defaults));
    hook_tend_all(&engine);
}

static int begin(void **state)
{
    memory = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    config_defaults(&config);
    strcpy(config.defaults.on_rotate, "reload");
    config.defaults.on_rotate_user = 7;
    runs = 0;
    told[0] = '\0';
    refuses = catching_up = false;
    start_worker();
    return 0;
}

static int finish(void **state)
{
    registry_free(engine.parts.registry);
    engine.parts.registry = NULL;
    config_clear(&config);
    return munmap(memory, numbers_size());
}

/* Readers see a new generation, of that key. */
static void publish(const char *client_key_id)
{
    struct numbers *numbers = memory;
    uint32_t key = numbers_add_key(numbers, AAP, client_key_id);
    numbers_aap(numbers, AAP)->settled_generation = numbers_add_generation(numbers, key, 1);
    hook_tend(&engine, AAP);
}

static const struct registry_hook *last_hook(void)
{
    return &registry_aap(engine.parts.registry, AAP)->last_hook;
}

static void a_rotation_is_told_and_a_first_key_is_not(void **state)
{
    publish("KAAP.1");
    assert_int_equal(runs, 0);
    publish("KAAP.2");
    assert_int_equal(runs, 1);
    assert_string_equal(asked.command, "reload");
    assert_string_equal(asked.aap_name, "payments");
    assert_string_equal(asked.client_key_id, "KAAP.2");
    assert_int_equal(asked.uid, 7);
    assert_int_equal(asked.timeout_ms, 60 * 1000);
    assert_int_equal(last_hook()->time, 0);
    assert_string_equal(told, "");
    end_run(RUN_EXITED, 0);
    assert_string_equal(told, "KAAP.2");
    assert_int_equal(last_hook()->time, 1000);
    assert_true(last_hook()->ok);
    hook_tend(&engine, AAP);
    assert_int_equal(runs, 1);
}

static void the_same_key_shown_anew_is_no_rotation(void **state)
{
    publish("KAAP.1");
    publish("KAAP.1");
    assert_int_equal(runs, 0);
    publish("KAAP.2");
    end_run(RUN_EXITED, 0);
    publish("KAAP.2");
    assert_int_equal(runs, 1);
}

static void rotations_meanwhile_get_one_run_with_the_newest(void **state)
{
    publish("KAAP.1");
    publish("KAAP.2");
    publish("KAAP.3");
    publish("KAAP.4");
    assert_int_equal(runs, 1);
    end_run(RUN_EXITED, 0);
    assert_int_equal(runs, 2);
    assert_string_equal(asked.client_key_id, "KAAP.4");
    end_run(RUN_EXITED, 0);
    assert_int_equal(runs, 2);
}

static void the_next_worker_runs_what_was_not_seen_to_end(void **state)
{
    publish("KAAP.1");
    publish("KAAP.2");
    start_worker();
    assert_int_equal(runs, 2);
    assert_string_equal(asked.client_key_id, "KAAP.2");
    end_run(RUN_KILLED, 9);
    start_worker();
    assert_int_equal(runs, 2);
    publish("KAAP.3");
    assert_int_equal(runs, 3);
}

static void what_is_half_published_comes_first(void **state)
{
    publish("KAAP.1");
    publish("KAAP.2");
    catching_up = true;
    start_worker();
    assert_int_equal(runs, 1);
    catching_up = false;
    publish("KAAP.2"); /* shown anew, and it is the run's first end */
    assert_int_equal(runs, 2);
    end_run(RUN_EXITED, 0);
    assert_int_equal(runs, 2);
}

static void a_worker_that_is_to_leave_begins_nothing(void **state)
{
    publish("KAAP.1");
    engine.draining = true;
    publish("KAAP.2");
    assert_int_equal(runs, 0);
    engine.draining = false;
    hook_tend_all(&engine);
    assert_int_equal(runs, 1);
}

static void without_a_command_it_is_dealt_with(void **state)
{
    static const char *const none[] = {"", "none"};
    publish("KAAP.1");
    for (size_t i = 0; i < 2; i++) {
        strcpy(config.defaults.on_rotate, none[i]);
        publish(i ? "KAAP.2" : "KAAP.3");
        strcpy(config.defaults.on_rotate, "reload");
        hook_tend(&engine, AAP);
        assert_int_equal(runs, 0);
    }
    assert_int_equal(last_hook()->time, 0);
}

static void how_it_failed_is_noted_and_it_is_not_repeated(void **state)
{
    static const struct {
        enum run_ending ending;
        int number;
        const char *text;
    } ends[] = {
        {RUN_EXITED, 3, "status 3"},
        {RUN_KILLED, 9, "signal 9"},
        {RUN_TIMED_OUT, 0, "timed out"},
        {RUN_NOT_STARTED, 2, "not started: No such file or directory"},
    };
    publish("KAAP.0");
    for (unsigned int i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        const char id[] = {'K', (char)('1' + i), '\0'};
        publish(id);
        end_run(ends[i].ending, ends[i].number);
        assert_int_equal(runs, i + 1);
        assert_false(last_hook()->ok);
        assert_string_equal(told, "");
        assert_string_equal(last_hook()->text, ends[i].text);
    }
    refuses = true;
    publish("KAAP.9");
    assert_int_equal(runs, 5);
    assert_string_equal(last_hook()->text, "not started: Cannot allocate memory");
}

static void what_another_mount_did_not_see_end_is_run_once(void **state)
{
    numbers_aap(memory, AAP)->hook_owed = true;
    publish("KAAP.1");
    assert_int_equal(runs, 1);
    start_worker(); /* which did not see it end either */
    assert_int_equal(runs, 2);
    end_run(RUN_EXITED, 1);
    start_worker();
    assert_int_equal(runs, 2);
}

static void a_number_that_is_nobodys_is_passed_over(void **state)
{
    hook_tend(&engine, AAP + 1);
    hook_tend(&engine, ROOM);
    assert_int_equal(runs, 0);
}

int main(void)
{
#define with_a_worker(test) cmocka_unit_test_setup_teardown(test, begin, finish)
    const struct CMUnitTest tests[] = {
        with_a_worker(a_rotation_is_told_and_a_first_key_is_not),
        with_a_worker(the_same_key_shown_anew_is_no_rotation),
        with_a_worker(rotations_meanwhile_get_one_run_with_the_newest),
        with_a_worker(the_next_worker_runs_what_was_not_seen_to_end),
        with_a_worker(what_is_half_published_comes_first),
        with_a_worker(a_worker_that_is_to_leave_begins_nothing),
        with_a_worker(without_a_command_it_is_dealt_with),
        with_a_worker(how_it_failed_is_noted_and_it_is_not_repeated),
        with_a_worker(what_another_mount_did_not_see_end_is_run_once),
        with_a_worker(a_number_that_is_nobodys_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
