#include "tests/unit/engine_rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fs/engine/control.h"
#include "fs/loop/loop.h"
#include "kmsapi/wiping_memory.h"

enum { TURNS_MOST = 100000 };

struct rig rig;

static uint64_t last_number; /* of a write */

/* -- time ---------------------------------------------------------------------------------- */

int64_t __wrap_clock_local_ms(void)
{
    return rig.now_ms + rig.local_ms;
}

int64_t __wrap_clock_local_ns(void)
{
    return __wrap_clock_local_ms() * 1000000;
}

int64_t __wrap_clock_monotonic_ms(void)
{
    return rig.now_ms - RIG_BEGIN * 1000 + 1000000;
}

int64_t __wrap_clock_boottime_ms(void)
{
    return __wrap_clock_monotonic_ms() + rig.slept_ms;
}

/* -- turns --------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t test_thread;
static bool is_woken;            /* by a third thread */
static bool stands, has_ended;   /* the engine's thread: where it waits; for ever */
static bool is_stopping;         /* loop_stop is about to wait for it */
static void (*answer_late)(void);
static bool (*goes_on)(int timeout_ms);

static void set(bool *what, bool value)
{
    pthread_mutex_lock(&lock);
    *what = value;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void stand(int timeout_ms)
{
    pthread_mutex_lock(&lock);
    rig.timeout_ms = timeout_ms;
    stands = true;
    pthread_cond_broadcast(&changed);
    while (stands)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

void __wrap_transport_run(struct transport *transport, int timeout_ms)
{
    if (is_stopping && answer_late && rig_request()) {
        answer_late();
    } else if (is_stopping) {
        rig.now_ms += timeout_ms;
    } else if (!goes_on || !goes_on(timeout_ms)) {
        goes_on = NULL;
        stand(timeout_ms);
    }
}

void __wrap_transport_watch(struct transport *transport, int descriptor)
{
}

/* By any thread. What a test does is followed by rig_settle, and loop_stop wants the engine to see that it is to end. */
void __wrap_transport_wake_up(struct transport *transport)
{
    if (is_stopping)
        set(&stands, false);
    if (!pthread_equal(pthread_self(), test_thread))
        set(&is_woken, true);
}

static void take_turn(void)
{
    pthread_mutex_lock(&lock);
    stands = false;
    pthread_cond_broadcast(&changed);
    while (!stands && !has_ended)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static bool has_publications(void)
{
    return !rig.holds_publications && rig.publications_ended != rig.publications_begun;
}

void rig_settle(void)
{
    unsigned int turns = 0;
    if (is_stopping)
        return;
    do {
        take_turn();
        assert_true(turns++ < TURNS_MOST); /* it never waits */
    } while (!has_ended && (rig.timeout_ms == 0 || has_publications()));
}

void rig_await_thread(void)
{
    pthread_mutex_lock(&lock);
    while (!is_woken)
        pthread_cond_wait(&changed, &lock);
    is_woken = false;
    pthread_mutex_unlock(&lock);
    rig_settle();
}

void rig_run(bool (*go_on)(int timeout_ms))
{
    goes_on = go_on;
    take_turn();
}

void rig_pass(int64_t ms)
{
    int64_t until_ms = rig.now_ms + ms;
    rig_settle();
    while (rig.now_ms < until_ms && !has_ended) {
        int64_t left_ms = until_ms - rig.now_ms;
        rig.now_ms += rig.timeout_ms < left_ms ? rig.timeout_ms : left_ms;
        rig_settle();
    }
}

void rig_jump(int64_t ms)
{
    rig.now_ms += ms;
    rig_settle();
}

void rig_jump_to(int64_t time)
{
    rig_jump(time * 1000 - rig.now_ms);
}

/* -- what the mount would do --------------------------------------------------------------- */

static void begin_publication(void *user, const struct publish_request *request)
{
    assert_true(rig.publications_begun - rig.publications_ended < RIG_PUBLICATIONS);
    rig.publications[rig.publications_begun++ % RIG_PUBLICATIONS] = *request;
}

static void show_generation(uint32_t number)
{
    const struct numbered_generation *generation = numbers_generation(rig.numbers, number);
    const struct registry_key *key = registry_key(rig.registry, generation->key);
    struct numbered_aap *aap = numbers_aap(rig.numbers, generation->aap);
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
        if (i == PUBLISHED_CURRENT || (key && key->files[i - 1].data))
            numbers_show(rig.numbers, number, (enum published_name)i, __wrap_clock_monotonic_ms());
        else
            numbers_hide(rig.numbers, number, (enum published_name)i);
    if (aap->settled_generation < number)
        aap->settled_generation = number;
}

/* As publisher/publication.c does. */
static void show(const struct publish_request *request)
{
    struct numbered_aap *aap = numbers_aap(rig.numbers, request->number);
    struct numbered_key *key = numbers_key(rig.numbers, request->number);
    if (request->kind == PUBLISH_AAP || request->kind == PUBLISH_REMOVE_AAP) {
        aap->removals += request->kind == PUBLISH_REMOVE_AAP;
        aap->shown = aap->settled = request->kind == PUBLISH_AAP;
    } else if (request->kind == PUBLISH_KEY || request->kind == PUBLISH_REMOVE_KEY) {
        key->removals += request->kind == PUBLISH_REMOVE_KEY;
        key->shown = key->settled = request->kind == PUBLISH_KEY;
    } else if (request->kind == PUBLISH_GENERATION) {
        show_generation(request->number);
    }
}

static void end_publication(int result)
{
    const struct publish_request request = rig.publications[rig.publications_ended++ % RIG_PUBLICATIONS];
    registry_lock(rig.registry);
    if (result == 0)
        show(&request);
    registry_unlock(rig.registry);
    bool unknown = request.kind == PUBLISH_FOLLOW && request.number == rig.nobody_holds;
    request.done(request.user, unknown ? -ENOENT : result);
}

static bool receive_publications(void *user)
{
    while (has_publications())
        end_publication(0);
    return !rig.publisher_is_gone;
}

void rig_publish(int result)
{
    assert_true(rig.publications_ended != rig.publications_begun);
    end_publication(result);
    rig_settle();
}

unsigned int rig_published(enum publish_kind kind)
{
    unsigned int count = 0;
    for (unsigned int i = 0; i < rig.publications_begun; i++)
        count += rig.publications[i % RIG_PUBLICATIONS].kind == kind;
    return count;
}

static void begin_run(void *user, const struct run_request *request)
{
    assert_true(rig.runs_begun < RIG_RUNS);
    rig.runs[rig.runs_begun++] = *request;
}

void rig_end_run(enum run_ending ending, int number)
{
    assert_true(rig.runs_ended != rig.runs_begun);
    const struct run_request *request = &rig.runs[rig.runs_ended++];
    request->done(request->user, request->aap, &(struct run_result){ending, number});
    rig_settle();
}

static bool receive_runs(void *user)
{
    return true;
}

static bool take_answer(void *user, uint64_t number, int result)
{
    assert_true(rig.answer_count < RIG_ANSWERS);
    rig.answers[rig.answer_count++] = (struct rig_written){number, result};
    return !rig.nobody_waits;
}

static void begin_write(void *user, uint64_t number)
{
}

static void note_intent(void *user, uint64_t number, uint64_t intent)
{
    rig.noted_intent = intent;
}

static void receive_messages(void *user)
{
}

static void upgrade(void *user, uint64_t number, bool inherited)
{
    rig.upgrades_asked++;
}

static void reload(void *user)
{
    rig.reloads_asked++;
}

static void reloaded(void *user, bool told)
{
    rig.reloads_told++;
}

static void drained(void *user)
{
    rig.drained++;
}

static void first_sync_ended(void *user)
{
    rig.first_syncs++;
}

static void failed(void *user)
{
    rig.failed++;
    set(&has_ended, true);
}

/* -- a state directory, and engines on it -------------------------------------------------- */

int rig_make(void **unused)
{
    static bool installed;
    static struct counters counters;
    if (!installed && wiping_memory_install() < 0)
        return -1;
    installed = true;
    memset(&rig, 0, sizeof(rig));
    rig_forget_log();
    memset(&counters, 0, sizeof(counters));
    rig.counters = counters_open(&counters);
    rig.now_ms = RIG_BEGIN * 1000;
    rig.first = true;
    test_thread = pthread_self();
    is_woken = false;
    table_clear();
    rig_forget_requests();
    rig_make_disk();
    config_defaults(&rig.config);
    /* what waits for the pace would be asked for later, and what is listed by itself is in the way */
    rig.config.requests_per_second = 1000;
    rig.config.sync_interval_ms = 3650 * RIG_DAY * 1000;
    strcpy(rig.config.region, RIG_REGION);
    void *memory = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    rig.numbers = numbers_open(memory);
    return 0;
}

int rig_remove(void **unused)
{
    rig.disk_error = 0;
    rig_stop(NULL);
    config_clear(&rig.config);
    munmap(rig.numbers, numbers_size());
    rig_remove_disk();
    assert_int_equal(rig_faults(), 0);
    return 0;
}

void rig_name_aap(const char *aap_name)
{
    struct config *config = &rig.config;
    char (*names)[CONFIG_NAME_SIZE] = reallocarray(config->aap_names, config->aap_name_count + 1, sizeof(*names));
    assert_non_null(names);
    config->aap_names = names;
    strcpy(names[config->aap_name_count++], aap_name);
    config->all_aaps = false;
}

/* What there is of a transport is wrapped, here and in rig_kms.c. */
static char no_transport;

void rig_start(void)
{
    rig.registry = registry_new(rig.numbers);
    const struct engine_parts parts = {
        .registry = rig.registry,
        .counters = rig.counters,
        .config = &rig.config,
        .transport = (struct transport *)&no_transport,
        .state = &rig.state,
        .first = rig.first,
        .refresh = rig.refresh,
        .publish = begin_publication,
        .publish_receive = receive_publications,
        .run = begin_run,
        .run_receive = receive_runs,
        .answer = take_answer,
        .begin = begin_write,
        .note_intent = note_intent,
        .upgrade = upgrade,
        .reload = reload,
        .reloaded = reloaded,
        .drained = drained,
        .receive_messages = receive_messages,
        .first_sync_ended = first_sync_ended,
        .failed = failed,
    };
    rig.publications_begun = rig.publications_ended = rig.runs_begun = rig.runs_ended = rig.answer_count = 0;
    stands = has_ended = is_stopping = false;
    rig.engine = loop_start(&parts);
    assert_non_null(rig.engine);
    rig.first = false;
    pthread_mutex_lock(&lock);
    while (!stands && !has_ended)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    rig_settle();
}

/* What hangs on publications that have not ended goes with the worker's process: for the leak sanitizer it is still there. */
static void abandon_publications(void)
{
    static void *abandoned[RIG_PUBLICATIONS] __attribute__((used));
    static unsigned int count;
    while (rig.publications_ended != rig.publications_begun)
        abandoned[count++ % RIG_PUBLICATIONS] = rig.publications[rig.publications_ended++ % RIG_PUBLICATIONS].user;
}

void rig_stop(void (*answer)(void))
{
    if (!rig.engine)
        return;
    answer_late = answer;
    is_stopping = true;
    loop_stop(rig.engine);
    is_stopping = false;
    rig.engine = NULL;
    registry_free(rig.registry);
    rig.registry = NULL;
    rig_forget_requests();
    abandon_publications();
}

/* -- control ------------------------------------------------------------------------------- */

static void submit(const struct engine_write *write)
{
    assert_true(loop_submit(rig.engine, write));
    rig_settle();
}

uint64_t rig_write_by(const char *aap_name, const char *text, pid_t pid, uid_t uid)
{
    char line[CONTROL_SIZE + 1];
    int length = snprintf(line, sizeof(line), "%s\n", text);
    const struct engine_write write = {.number = ++last_number, .aap = aap_name ? rig_aap(aap_name)->number : 0,
                                       .data = line, .size = (size_t)length, .pid = pid, .uid = uid};
    submit(&write);
    return write.number;
}

uint64_t rig_write(const char *aap_name, const char *text)
{
    return rig_write_by(aap_name, text, 1, 0);
}

void rig_do(const char *aap_name, const char *text)
{
    uint64_t number = rig_write(aap_name, text);
    table_serve();
    assert_int_equal(rig_result(number), 0);
}

void rig_inherit(uint64_t number, uint32_t aap, uint64_t intent)
{
    const struct engine_write write = {.number = number, .aap = aap, .data = "", .inherited = true, .intent = intent};
    submit(&write);
}

/* The place of its answer; ANSWER_COUNT: there is none. */
static unsigned int find_answer(uint64_t number)
{
    unsigned int i = 0;
    while (i < rig.answer_count && rig.answers[i].number != number)
        i++;
    return i;
}

bool rig_is_answered(uint64_t number)
{
    return find_answer(number) < rig.answer_count;
}

int rig_result(uint64_t number)
{
    if (!rig_is_answered(number))
        fail_msg("%llu was not answered", (unsigned long long)number);
    return rig.answers[find_answer(number)].result;
}

void rig_assert_failed(uint64_t number, const char *aap_name, int result, const char *code)
{
    const struct registry_failure *failure = aap_name ? &rig_aap(aap_name)->failure : &registry_mount(rig.registry)->failure;
    assert_int_equal(rig_result(number), result);
    assert_string_equal(failure->error.code, code);
}

/* -- what is seen -------------------------------------------------------------------------- */

struct registry_aap *rig_aap(const char *aap_name)
{
    struct registry_aap *aap = registry_find_aap(rig.registry, aap_name);
    if (!aap)
        fail_msg("there is no %s", aap_name);
    return aap;
}

const char *rig_current(const char *aap_name)
{
    const struct registry_key *current = rig_aap(aap_name)->current;
    return current ? current->client_key_id : "";
}

bool rig_shows(const char *aap_name, const char *client_key_id)
{
    const struct registry_aap *aap = rig_aap(aap_name);
    const struct numbered_aap *numbered = numbers_aap(rig.numbers, aap->number);
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++) {
        bool has_file = i == PUBLISHED_CURRENT || (aap->current && aap->current->files[i - 1].data);
        if (numbered->published[i] != (has_file ? aap->generation : 0))
            return false;
    }
    return numbered->shown && strcmp(rig_current(aap_name), client_key_id) == 0;
}
