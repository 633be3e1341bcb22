/* A worker's successor: what it loads, which names it publishes, and what the writes that it inherits end with. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
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
#include <openssl/crypto.h>

#include "fs/engine/kms_clock.h"
#include "fs/engine/parts.h"
#include "fs/loop/loop.h"
#include "fs/store/store_intent.h"
#include "kmsapi/wiping_memory.h"

static const char account[] = "1192853035110000", region[] = "cn-hangzhou";
static char place[64], reason[2 * STATE_PATH_SIZE + 256];
static struct state state;
static struct config config;
static void *memory; /* the mount's: it outlives the engines */
static struct client_key_library *library;

/* -- what the mount would do ----------------------------------------------------------------- */

enum { MOST = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct publish_request published[MOST];
static unsigned int publish_count, publish_done; /* the engine's thread */
static uint32_t nobody_holds; /* a file of this generation */
static int wake[2];
static struct {
    uint64_t number;
    int result;
} answers[MOST];
static unsigned int answer_count;
static struct registry *registry;
static struct transport *transport;

static void begin_publication(void *user, const struct publish_request *request)
{
    assert_true(publish_count < MOST);
    published[publish_count++] = *request;
    assert_int_equal(write(wake[1], "p", 1), 1);
}

static void show(const struct publish_request *request)
{
    struct numbers *numbers = registry_numbers(registry);
    if (request->kind == PUBLISH_FOLLOW)
        return;
    if (request->kind == PUBLISH_AAP) {
        struct numbered_aap *aap = numbers_aap(numbers, request->number);
        aap->shown = aap->settled = true;
    } else if (request->kind == PUBLISH_KEY) {
        struct numbered_key *key = numbers_key(numbers, request->number);
        key->shown = key->settled = true;
    } else {
        struct numbered_aap *aap =
            numbers_aap(numbers, numbers_generation(numbers, request->number)->aap);
        for (int i = 0; i < PUBLISHED_COUNT; i++)
            aap->published[i] = request->number;
        aap->settled_generation = request->number;
    }
}

static bool receive_publications(void *user)
{
    char bytes[MOST];
    while (read(wake[0], bytes, sizeof(bytes)) > 0)
        ;
    while (publish_done < publish_count) {
        const struct publish_request request = published[publish_done++];
        registry_lock(registry);
        show(&request);
        registry_unlock(registry);
        bool unknown = request.kind == PUBLISH_FOLLOW && request.number == nobody_holds;
        request.done(request.user, unknown ? -ENOENT : 0);
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    return true;
}

static bool take_answer(void *user, uint64_t number, int result)
{
    pthread_mutex_lock(&lock);
    answers[answer_count].number = number;
    answers[answer_count++].result = result;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return true;
}

static void note_nothing(void *user, uint64_t number, uint64_t intent)
{
}

static bool receive_nothing(void *user)
{
    return true;
}

static void begin_nothing(void *user, uint64_t number)
{
}

static void ignore_event(void *user)
{
}

static int no_credentials(void *user, struct credentials *credentials, char *why, size_t size)
{
    snprintf(why, size, "none here");
    return -EACCES;
}

/* -- a store, and an engine on it ------------------------------------------------------------ */

static int make_place(void **unused)
{
    struct state_places places = {.may_make_key = true};
    strcpy(place, "/tmp/aapfs-engine-XXXXXX");
    assert_non_null(mkdtemp(place));
    snprintf(places.directory, sizeof(places.directory), "%s/state", place);
    snprintf(places.key, sizeof(places.key), "%s/key", place);
    assert_int_equal(state_open(&places, &state, reason, sizeof(reason)), 0);
    assert_int_equal(state_make_key(&places, reason, sizeof(reason)), 0);
    assert_int_equal(state_open_key(&places, &state, reason, sizeof(reason)), 0);
    config_defaults(&config);
    strcpy(config.region, "cn-hangzhou");
    assert_int_equal(config_set_endpoint(&config, "http://127.0.0.1:1", reason, sizeof(reason)), 0);
    memory = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    return pipe2(wake, O_NONBLOCK | O_CLOEXEC);
}

static int remove_one(const char *name, const struct stat *attributes, int type, struct FTW *where)
{
    return remove(name);
}

static int remove_place(void **unused)
{
    state_close(&state);
    config_clear(&config);
    munmap(memory, numbers_size());
    close(wake[0]);
    close(wake[1]);
    return nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Saves a key that came MADE nanoseconds after 1970, judged good or not; its intent, which stays on the disk with LEAVE. */
static uint64_t save(const char *aap, const char *id, int64_t made, bool good, bool leave)
{
    struct store *store;
    struct store_intent *intent, *second = NULL;
    char algorithm[] = "RSA_2048", before[] = "2026-11-24T00:00:00Z", after[] = "2099-11-24T00:00:00Z";
    char data[] = "AAAA", password[] = "Abcdefg1~", request[] = "r";
    const struct store_wish wish = {aap, before, after, false, made};
    const struct forms forms = {{(unsigned char *)(uintptr_t) "pem\n", 4}, {0}};
    assert_int_equal(state_open_store(&state, region, account, &store, reason, sizeof(reason)), 0);
    assert_int_equal(store_reserve(store, &wish, &intent), 0);
    if (leave)
        assert_int_equal(store_reserve(store, &wish, &second), 0);
    struct record record = {(char *)(uintptr_t)aap, (char *)(uintptr_t)id, algorithm, before, after, data, password,
                            request, made, store_intent_number(leave ? second : intent), false};
    assert_int_equal(store_save(store, intent, &record), 0);
    if (leave)
        store_leave(store, second);
    if (good)
        assert_int_equal(store_write_forms(store, aap, id, &forms), 0);
    store_close(store);
    return record.intent;
}

struct inherited {
    uint64_t number;
    uint32_t aap;
    uint64_t intent;
};

/* Starts an engine, waits for the answers to INHERITED, and returns it. */
static struct engine *start(bool first, const struct inherited *inherited, size_t count)
{
    const struct transport_options options = {.endpoint = config.endpoint, .get_credentials = no_credentials};
    publish_count = publish_done = answer_count = 0;
    assert_int_equal(transport_new(&options, &transport, reason, sizeof(reason)), 0);
    registry = registry_new(numbers_open(memory));
    const struct engine_parts parts = {
        .registry = registry,
        .config = &config,
        .transport = transport,
        .library = library,
        .state = &state,
        .first = first,
        .publish = begin_publication,
        .publish_socket = wake[0],
        .publish_receive = receive_publications,
        .run_socket = wake[0],
        .run_receive = receive_nothing,
        .answer = take_answer,
        .begin = begin_nothing,
        .note_intent = note_nothing,
        .message_socket = wake[0],
        .receive_messages = ignore_event,
        .first_sync_ended = ignore_event,
        .failed = ignore_event,
    };
    struct engine *engine = loop_start(&parts);
    assert_non_null(engine);
    for (size_t i = 0; i < count; i++) {
        const struct engine_write write = {.number = inherited[i].number,
                                           .aap = inherited[i].aap,
                                           .data = "",
                                           .inherited = true,
                                           .intent = inherited[i].intent};
        assert_true(loop_submit(engine, &write));
    }
    pthread_mutex_lock(&lock);
    while (answer_count < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return engine;
}

static void stop(struct engine *engine)
{
    loop_stop(engine);
    registry_free(registry);
    transport_free(transport);
}

static int result_of(uint64_t number)
{
    for (unsigned int i = 0; i < answer_count; i++)
        if (answers[i].number == number)
            return answers[i].result;
    fail_msg("%llu was not answered", (unsigned long long)number);
    return 1;
}

static bool published_everywhere(const char *aap, const char *id)
{
    const struct registry_aap *found = registry_find_aap(registry, aap);
    const struct numbered_aap *numbered = numbers_aap(registry_numbers(registry), found->number);
    for (int i = 0; i < PUBLISHED_PASSWORD; i++)
        if (numbered->published[i] != found->generation && i != PUBLISHED_CERTIFICATE_PEM)
            return false;
    return numbered->shown && strcmp(found->current->client_key_id, id) == 0;
}

static void wait_until_published(const char *aap, const char *id)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        registry_lock(registry);
        bool done = published_everywhere(aap, id);
        registry_unlock(registry);
        if (done)
            break;
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

/* Intents on the disk. */
static int intents;

static int count_intent(const char *name, const struct stat *attributes, int type, struct FTW *where)
{
    intents += strncmp(name + where->base, ".intent-", 8) == 0;
    return 0;
}

static int intents_left(void)
{
    intents = 0;
    assert_int_equal(nftw(place, count_intent, 8, FTW_PHYS), 0);
    return intents;
}

/* -- tests ----------------------------------------------------------------------------------- */

static void the_first_worker_shows_what_it_loads_without_a_publication(void **unused)
{
    save("payments", "KAAP.1", 1000, true, false);
    save("payments", "KAAP.3", 3000, true, false);
    save("payments", "KAAP.2", 2000, true, false);
    save("orders", "KAAP.4", 4000, true, false);
    struct engine *engine = start(true, NULL, 0);
    registry_lock(registry);
    assert_true(published_everywhere("payments", "KAAP.3"));
    assert_true(published_everywhere("orders", "KAAP.4"));
    const struct registry_aap *aap = registry_find_aap(registry, "payments");
    assert_string_equal(aap->keys->next->client_key_id, "KAAP.2");
    assert_string_equal(aap->keys->next->next->client_key_id, "KAAP.1");
    assert_int_equal(numbers_generation(registry_numbers(registry), aap->generation)->made_ns, 3000);
    /* there is no certificate: its name shows nothing */
    assert_int_equal(numbers_aap(memory, aap->number)->published[PUBLISHED_CERTIFICATE_PEM], 0);
    registry_unlock(registry);
    stop(engine);
    assert_int_equal(publish_count, 0);
}

static void a_successor_goes_on_with_the_numbers_that_are_there(void **unused)
{
    save("payments", "KAAP.1", 1000, true, false);
    stop(start(true, NULL, 0));
    struct engine *engine = start(false, NULL, 0);
    uint32_t generation = registry_find_aap(registry, "payments")->generation;
    assert_int_equal(generation, 1);
    stop(engine);
    assert_int_equal(publish_count, 0);
    /* a key that was saved and not published: a new generation, its directory first */
    save("payments", "KAAP.2", 2000, true, false);
    engine = start(false, NULL, 0);
    wait_until_published("payments", "KAAP.2");
    stop(engine);
    assert_int_equal(publish_count, 2);
    assert_int_equal(published[0].kind, PUBLISH_KEY);
    assert_int_equal(published[1].kind, PUBLISH_GENERATION);
    assert_int_equal(published[1].number, 2);
    /* one that was half published: again, and as another generation, since some of its nodes are known */
    struct numbered_aap *numbered = numbers_aap(memory, 1);
    numbered->settled_generation = 1;
    numbered->published[PUBLISHED_NOT_AFTER] = 1;
    engine = start(false, NULL, 0);
    wait_until_published("payments", "KAAP.2");
    stop(engine);
    assert_int_equal(publish_count, 1);
    assert_int_equal(published[0].number, 3);
    assert_true(numbers_generation(memory, 3)->made_ns > numbers_generation(memory, 2)->made_ns);
}

static void each_inherited_write_gets_what_became_of_it(void **unused)
{
    const struct inherited none = {1, 1, 0};
    save("payments", "KAAP.1", 1000, true, false);
    stop(start(true, NULL, 0));
    uint64_t superseded = save("payments", "KAAP.2", 2000, true, false);
    uint64_t made = save("payments", "KAAP.3", 3000, true, true);
    uint64_t rejected = save("payments", "KAAP.4", 4000, false, true);
    assert_int_equal(intents_left(), 2);
    /* two waited for the same creation */
    const struct inherited writes[] = {{1, 1, 0}, {2, 1, made}, {3, 1, made}, {4, 1, rejected},
                                              {5, 1, 12345}, {6, 1, superseded}, {7, 0, 0}};
    struct engine *engine = start(false, writes, 7);
    assert_int_equal(result_of(1), -EIO);
    assert_int_equal(result_of(2), 0);
    assert_int_equal(result_of(3), 0);
    assert_int_equal(result_of(4), -EKEYREJECTED);
    assert_int_equal(result_of(5), -EIO);
    assert_int_equal(result_of(6), 0);
    assert_int_equal(result_of(7), -EIO);
    registry_lock(registry);
    assert_true(published_everywhere("payments", "KAAP.3"));
    assert_true(registry_has_id(registry_find_aap(registry, "payments")->rejected, "KAAP.4"));
    assert_string_equal(registry_find_aap(registry, "payments")->failure.error.code, "Interrupted");
    registry_unlock(registry);
    stop(engine);
    assert_int_equal(answer_count, 7);
    /* what has a record is finished: nothing is left to be settled */
    assert_int_equal(intents_left(), 0);
    /* and nothing is published that readers see already */
    engine = start(false, (struct inherited[]){{9, 1, made}, none}, 2);
    assert_int_equal(result_of(9), 0);
    stop(engine);
    assert_int_equal(publish_count, 0);
}

static void a_new_aap_is_published_whole(void **unused)
{
    uint64_t made = save("payments", "KAAP.1", 1000, true, false);
    struct engine *engine = start(false, (struct inherited[]){{1, 1, made}}, 1);
    assert_int_equal(result_of(1), 0);
    registry_lock(registry);
    assert_true(published_everywhere("payments", "KAAP.1"));
    registry_unlock(registry);
    stop(engine);
    static const enum publish_kind kinds[] = {PUBLISH_AAP, PUBLISH_KEY, PUBLISH_GENERATION};
    assert_int_equal(publish_count, 3);
    for (unsigned int i = 0; i < 3; i++)
        assert_int_equal(published[i].kind, kinds[i]);
}

/* One more generation of the only key, which is shown now and known to everybody. */
static void show_another(void)
{
    struct numbers *numbers = numbers_open(memory);
    struct numbered_aap *aap = numbers_aap(numbers, 1);
    uint32_t generation = numbers_add_generation(numbers, 1, 5000);
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
        numbers_show(numbers, generation, (enum published_name)i, clock_monotonic_ms());
    aap->settled_generation = aap->hook_generation = generation;
}

static void follow_to(uint32_t generation, const uint32_t *told, unsigned int count)
{
    struct engine *engine = start(false, NULL, 0);
    int64_t began_ms = clock_monotonic_ms();
    pthread_mutex_lock(&lock);
    for (;;) {
        registry_lock(registry);
        bool done = numbers_aap(memory, 1)->followed == generation;
        registry_unlock(registry);
        if (done)
            break;
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    assert_true(clock_monotonic_ms() - began_ms >= (int64_t)config.settle_ms);
    stop(engine);
    assert_int_equal(publish_count, count);
    for (unsigned int i = 0; i < count; i++) {
        assert_int_equal(published[i].kind, PUBLISH_FOLLOW);
        assert_int_equal(published[i].number, told[i]);
    }
}

static void who_holds_an_older_generation_is_told_at_a_switch(void **unused)
{
    static const uint32_t first[] = {3, 2, 1}, second[] = {4, 3, 1};
    save("payments", "KAAP.1", 1000, true, false);
    stop(start(true, NULL, 0));
    config.settle_ms = 100;
    for (int i = 0; i < 3; i++)
        show_another();
    nobody_holds = 2;
    follow_to(4, first, 3);
    assert_true(numbers_generation(memory, 2)->let_go);
    /* what is followed is not told again, and of what nobody holds nothing ever is */
    stop(start(false, NULL, 0));
    assert_int_equal(publish_count, 0);
    show_another();
    follow_to(5, second, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_worker_shows_what_it_loads_without_a_publication, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(a_successor_goes_on_with_the_numbers_that_are_there, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(each_inherited_write_gets_what_became_of_it, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_new_aap_is_published_whole, make_place, remove_place),
        cmocka_unit_test_setup_teardown(who_holds_an_older_generation_is_told_at_a_switch, make_place, remove_place),
    };
    if (wiping_memory_install() < 0)
        return 1;
    library = client_key_library_new(false);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    client_key_library_free(library);
    return failed;
}
