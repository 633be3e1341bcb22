/*
 * Three years (one in the everyday run) of 500 AAPs whose keys were made in the same minute: the engine as it is, on a clock that jumps from one
 * event to the next, and a KMS that is a table here.
 */
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

#include "fs/keys/engine.h"
#include "kmsapi/iso_time.h"
#include "kmsapi/kms.h"

enum { AAPS = 500, DAY = 86400, VALIDITY = 90 * DAY, ROTATIONS_MOST = 40, KEYS_MOST = 8, HOLD_MS = 20 };

static const int64_t begin = INT64_C(1700000000);
static int64_t now_ms; /* since 1970; the engine's thread alone moves it */
static int64_t end;
static unsigned int years;
static struct registry *registry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool over;
static unsigned int answered, failed_answers;

/* -- time ------------------------------------------------------------------------------------ */

int64_t __wrap_clock_local_ns(void)
{
    return now_ms * 1000000;
}

int64_t __wrap_clock_local_ms(void)
{
    return now_ms;
}

int64_t __wrap_clock_monotonic_ms(void)
{
    return now_ms - begin * 1000 + 1000000;
}

int64_t __wrap_clock_boottime_ms(void)
{
    return __wrap_clock_monotonic_ms();
}

/* -- disk and keys: not what this is about ----------------------------------------------------- */

int __wrap_fsync(int file)
{
    return 0;
}

int __wrap_posix_fallocate64(int file, off_t offset, off_t size)
{
    return 0;
}

static struct client_key_bytes bytes_of(const char *text)
{
    return (struct client_key_bytes){OPENSSL_memdup(text, strlen(text) + 1), strlen(text)};
}

int __wrap_client_key_open(struct client_key_library *library, const char *client_key_id, const char *private_key_data,
                           const char *password, struct client_key *key, char *reason, size_t size)
{
    *key = (struct client_key){.json = bytes_of("{}\n"), .pkcs12 = bytes_of("p"), .private_key_data = bytes_of("AAAA\n"),
                               .private_key_pem = bytes_of("pem\n"), .certificate_pem = bytes_of("certificate\n")};
    return 0;
}

/* -- KMS --------------------------------------------------------------------------------------- */

struct kms_key {
    unsigned int id; /* 0: none */
    char not_before[ISO_TIME_SIZE], not_after[ISO_TIME_SIZE], created[ISO_TIME_SIZE];
};

static struct aap {
    char name[32];
    bool creating;
    struct kms_key keys[KEYS_MOST];
    unsigned int rotations;
    int64_t times[ROTATIONS_MOST]; /* of creations; the first is a person's */
} aaps[AAPS];

static unsigned int next_id, creations_at_once, deletions;

/* A request that is answered from transport_run. */
struct request {
    enum { DESCRIBE, LIST_AAPS, LIST_KEYS, CREATE, DELETE, GET } kind;
    struct aap *aap;
    unsigned int id;
    char not_before[ISO_TIME_SIZE], not_after[ISO_TIME_SIZE];
    union {
        kms_aap_done *aap_done;
        kms_aaps_done *aaps_done;
        kms_client_keys_done *keys_done;
        kms_client_key_done *key_done;
        kms_simple_done *simple_done;
    };
    void *user;
};

enum { REQUESTS_MOST = 4096 };
static struct request requests[REQUESTS_MOST];
static unsigned int request_first, request_end;

static int add(struct request request)
{
    assert_true(request_end - request_first < REQUESTS_MOST);
    requests[request_end++ % REQUESTS_MOST] = request;
    return 0;
}

static struct aap *find(const char *name)
{
    return &aaps[strtoul(name + strlen("aap-"), NULL, 10)];
}

int __wrap_kms_describe_application_access_point(struct transport *transport, const char *name, unsigned int timeout_ms,
                                                 kms_aap_done *done, void *user)
{
    return add((struct request){.kind = DESCRIBE, .aap = find(name), .aap_done = done, .user = user});
}

int __wrap_kms_list_application_access_points(struct transport *transport, unsigned int timeout_ms, kms_aaps_done *done,
                                              void *user)
{
    return add((struct request){.kind = LIST_AAPS, .aaps_done = done, .user = user});
}

int __wrap_kms_list_client_keys(struct transport *transport, const char *aap_name, unsigned int timeout_ms,
                                kms_client_keys_done *done, void *user)
{
    return add((struct request){.kind = LIST_KEYS, .aap = find(aap_name), .keys_done = done, .user = user});
}

int __wrap_kms_get_client_key(struct transport *transport, const char *client_key_id, unsigned int timeout_ms,
                              kms_client_key_done *done, void *user)
{
    return add((struct request){.kind = GET, .key_done = done, .user = user});
}

int __wrap_kms_delete_client_key(struct transport *transport, const char *client_key_id, unsigned int timeout_ms,
                                 kms_simple_done *done, void *user)
{
    return add((struct request){.kind = DELETE, .id = (unsigned int)strtoul(client_key_id + strlen("KAAP."), NULL, 10),
                                .simple_done = done, .user = user});
}

int __wrap_kms_create_client_key(struct transport *transport, const struct kms_create_client_key *asked,
                                 unsigned int timeout_ms, kms_client_key_done *done, void *user)
{
    struct request request = {.kind = CREATE, .aap = find(asked->aap_name), .key_done = done, .user = user};
    creations_at_once += request.aap->creating;
    request.aap->creating = true;
    memcpy(request.not_before, asked->not_before, sizeof(request.not_before));
    memcpy(request.not_after, asked->not_after, sizeof(request.not_after));
    return add(request);
}

static struct kms_key *free_place(struct aap *aap)
{
    for (size_t i = 0; i < KEYS_MOST; i++)
        if (aap->keys[i].id == 0)
            return &aap->keys[i];
    fprintf(stderr, "%s has %d keys\n", aap->name, KEYS_MOST);
    abort();
}

static void create(const struct request *request, const struct kms_answer *answer)
{
    char id[32];
    struct aap *aap = request->aap;
    struct kms_key *place = free_place(aap);
    place->id = ++next_id;
    memcpy(place->not_before, request->not_before, sizeof(place->not_before));
    memcpy(place->not_after, request->not_after, sizeof(place->not_after));
    iso_time_format(now_ms / 1000, place->created);
    assert_true(aap->rotations < ROTATIONS_MOST);
    aap->times[aap->rotations++] = now_ms / 1000;
    aap->creating = false;
    snprintf(id, sizeof(id), "KAAP.%u", place->id);
    const struct kms_client_key key = {.client_key_id = id, .key_algorithm = "RSA_2048", .not_before = place->not_before,
                                       .not_after = place->not_after, .private_key_data = "AAAA"};
    request->key_done(request->user, answer, &key);
}

static void list_keys(const struct request *request, const struct kms_answer *answer)
{
    struct kms_client_key keys[KEYS_MOST];
    char ids[KEYS_MOST][32];
    size_t count = 0;
    for (size_t i = 0; i < KEYS_MOST; i++) {
        const struct kms_key *key = &request->aap->keys[i];
        if (key->id == 0)
            continue;
        snprintf(ids[count], sizeof(ids[count]), "KAAP.%u", key->id);
        keys[count] = (struct kms_client_key){.client_key_id = ids[count], .key_algorithm = "RSA_2048",
                                              .not_before = key->not_before, .not_after = key->not_after,
                                              .create_time = key->created, .public_key_data = "",
                                              .aap_name = request->aap->name};
        count++;
    }
    request->keys_done(request->user, answer, keys, count);
}

static void delete_key(unsigned int id)
{
    for (size_t i = 0; i < AAPS; i++)
        for (size_t j = 0; j < KEYS_MOST; j++)
            if (aaps[i].keys[j].id == id) {
                aaps[i].keys[j].id = 0;
                deletions++;
            }
}

static void list_aaps(const struct request *request, const struct kms_answer *answer)
{
    static struct kms_aap list[AAPS];
    for (size_t i = 0; i < AAPS; i++)
        list[i] = (struct kms_aap){.name = aaps[i].name};
    request->aaps_done(request->user, answer, list, AAPS);
}

static void answer_one(void)
{
    const struct request request = requests[request_first++ % REQUESTS_MOST];
    const struct transport_answer transport = {.server_date = now_ms / 1000, .sent_at_ms = now_ms - HOLD_MS,
                                               .received_at_ms = now_ms};
    struct kms_answer answer = {.request_id = "r", .transport = &transport};
    struct kms_aap aap = {.arn = "acs:kms:cn-hangzhou:1192853035110000:applicationaccesspoint/a"};
    switch (request.kind) {
    case DESCRIBE:
        aap.name = request.aap->name;
        request.aap_done(request.user, &answer, &aap);
        break;
    case LIST_AAPS:
        list_aaps(&request, &answer);
        break;
    case LIST_KEYS:
        list_keys(&request, &answer);
        break;
    case CREATE:
        create(&request, &answer);
        break;
    case DELETE:
        delete_key(request.id);
        request.simple_done(request.user, &answer);
        break;
    case GET: /* nothing was deleted elsewhere */
        answer.error.number = EIO;
        request.key_done(request.user, &answer, NULL);
        break;
    }
}

/* When anything is to happen next: between now and then the engine has nothing to do. */
static int64_t next_event(void)
{
    int64_t now = now_ms / 1000, next = now + DAY;
    registry_lock(registry);
    for (const struct registry_aap *aap = registry_first_aap(registry); aap; aap = aap->next) {
        if (aap->rotation.next > now && aap->rotation.next < next)
            next = aap->rotation.next;
        for (const struct registry_key *key = aap->keys; key; key = key->next)
            if (key->not_after_time > now && key->not_after_time < next)
                next = key->not_after_time;
    }
    registry_unlock(registry);
    return next * 1000;
}

static void end_it(void)
{
    pthread_mutex_lock(&lock);
    over = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static bool all_answered(void)
{
    pthread_mutex_lock(&lock);
    bool all = answered >= AAPS;
    pthread_mutex_unlock(&lock);
    return all;
}

void __wrap_transport_run(struct transport *transport, int timeout_ms)
{
    if (request_first != request_end) {
        now_ms += HOLD_MS;
        answer_one();
        return;
    }
    if (timeout_ms == 0)
        return;
    if (!all_answered() || now_ms / 1000 >= end) {
        if (now_ms / 1000 >= end)
            end_it();
        usleep(100); /* the other thread's writes are on their way */
        return;
    }
    int64_t then_ms = next_event(), short_ms = now_ms + timeout_ms;
    /* one that is woken once a minute when nothing is due may as well sleep on */
    now_ms = timeout_ms < 59000 || then_ms < short_ms ? short_ms : then_ms;
}

/* -- the mount --------------------------------------------------------------------------------- */

enum { PUBLICATIONS_MOST = 2048 };
static struct publish_request published[PUBLICATIONS_MOST];
static unsigned int publish_first, publish_end;
static int wake[2];

static void begin_publication(void *user, const struct publish_request *request)
{
    assert_true(publish_end - publish_first < PUBLICATIONS_MOST);
    published[publish_end++ % PUBLICATIONS_MOST] = *request;
}

static void show(const struct publish_request *request)
{
    struct numbers *numbers = registry_numbers(registry);
    if (request->kind == PUBLISH_AAP) {
        numbers_aap(numbers, request->number)->shown = numbers_aap(numbers, request->number)->settled = true;
    } else if (request->kind == PUBLISH_KEY) {
        numbers_key(numbers, request->number)->shown = numbers_key(numbers, request->number)->settled = true;
    } else if (request->kind == PUBLISH_GENERATION) {
        struct numbered_aap *aap = numbers_aap(numbers, numbers_generation(numbers, request->number)->aap);
        for (int i = 0; i < PUBLISHED_COUNT; i++)
            aap->published[i] = request->number;
        aap->settled_generation = request->number;
    }
}

static bool receive_publications(void *user)
{
    while (publish_first != publish_end) {
        const struct publish_request request = published[publish_first++ % PUBLICATIONS_MOST];
        registry_lock(registry);
        show(&request);
        registry_unlock(registry);
        request.done(request.user, 0);
    }
    return true;
}

static bool take_answer(void *user, uint64_t number, int result)
{
    pthread_mutex_lock(&lock);
    answered++;
    failed_answers += result != 0;
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

static pthread_cond_t listed = PTHREAD_COND_INITIALIZER;
static bool first_listing;

static void first_sync_ended(void *user)
{
    pthread_mutex_lock(&lock);
    first_listing = true;
    pthread_cond_broadcast(&listed);
    pthread_mutex_unlock(&lock);
}

static void ignore_event(void *user)
{
}

static int no_credentials(void *user, struct credentials *credentials, char *why, size_t size)
{
    return -EACCES;
}

/* -- three years ------------------------------------------------------------------------------- */

static char place[64], reason[2 * STATE_PATH_SIZE + 256];

static int remove_one(const char *path, const struct stat *attributes, int type, struct FTW *where)
{
    return remove(path);
}

static void write_passwords(struct engine *engine)
{
    static const char command[] = "Abcdefg1~\n";
    pthread_mutex_lock(&lock);
    while (!first_listing)
        pthread_cond_wait(&listed, &lock);
    pthread_mutex_unlock(&lock);
    for (uint32_t i = 0; i < AAPS; i++) {
        const struct engine_write write = {.number = i + 1, .aap = i + 1, .data = command, .size = sizeof(command) - 1,
                                           .pid = 1};
        assert_true(engine_submit(engine, &write));
    }
    pthread_mutex_lock(&lock);
    while (!over)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* The most of the COUNT times, in their order, that lie within SECONDS. */
static unsigned int most_within(const int64_t *times, unsigned int count, int64_t seconds)
{
    unsigned int most = 0;
    for (unsigned int first = 0, last = 0; last < count; last++) {
        while (times[last] - times[first] >= seconds)
            first++;
        most = last - first + 1 > most ? last - first + 1 : most;
    }
    return most;
}

static void three_years(void **unused)
{
    static struct config config;
    static struct state state;
    struct state_places places = {.may_make_key = true};
    struct transport *transport;
    config_defaults(&config);
    strcpy(config.region, "cn-hangzhou");
    config.defaults.validity_seconds = VALIDITY;
    config.defaults.validity_years = 0;
    config.sync_interval_ms = INT64_C(30) * DAY * 1000;
    strcpy(config.defaults.on_rotate, "none");
    assert_int_equal(config_set_endpoint(&config, "http://127.0.0.1:1", reason, sizeof(reason)), 0);
    /* in memory where there is such a place: 20,000 files come and go */
    snprintf(place, sizeof(place), "%s/aapfs-simulation-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(place));
    snprintf(places.directory, sizeof(places.directory), "%s/state", place);
    snprintf(places.key, sizeof(places.key), "%s/key", place);
    assert_int_equal(state_open(&places, &state, reason, sizeof(reason)), 0);
    assert_int_equal(state_make_key(&places, reason, sizeof(reason)), 0);
    assert_int_equal(state_open_key(&places, &state, reason, sizeof(reason)), 0);
    assert_int_equal(pipe2(wake, O_NONBLOCK | O_CLOEXEC), 0);
    void *memory = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    for (size_t i = 0; i < AAPS; i++)
        snprintf(aaps[i].name, sizeof(aaps[i].name), "aap-%03zu", i);
    now_ms = begin * 1000;
    const char *tests = getenv("AAPFS_TESTS"); /* the everyday run has less time */
    years = tests && (strcmp(tests, "full") == 0 || strcmp(tests, "long") == 0) ? 3 : 1;
    end = begin + INT64_C(365) * years * DAY;

    const struct transport_options options = {.endpoint = config.endpoint, .get_credentials = no_credentials};
    assert_int_equal(transport_new(&options, &transport, reason, sizeof(reason)), 0);
    registry = registry_new(numbers_open(memory));
    const struct engine_parts parts = {
        .registry = registry,
        .config = &config,
        .transport = transport,
        .state = &state,
        .first = true,
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
        .first_sync_ended = first_sync_ended,
        .failed = ignore_event,
    };
    struct engine *engine = engine_start(&parts);
    assert_non_null(engine);
    write_passwords(engine);
    engine_stop(engine);

    static int64_t all[AAPS * ROTATIONS_MOST], firsts[AAPS];
    unsigned int count = 0, fewest = ROTATIONS_MOST, most = 0, left = 0;
    double interval = 0.63 * VALIDITY; /* 66 % minus 0 to 6 % */
    unsigned int expected = (unsigned int)((double)years * 365 * DAY / interval);
    for (size_t i = 0; i < AAPS; i++) {
        unsigned int rotations = aaps[i].rotations - 1;
        assert_in_range(aaps[i].times[0], begin, begin + 59);
        fewest = rotations < fewest ? rotations : fewest;
        most = rotations > most ? rotations : most;
        firsts[i] = aaps[i].times[1];
        memcpy(all + count, aaps[i].times + 1, rotations * sizeof(*all));
        count += rotations;
        for (size_t j = 0; j < KEYS_MOST; j++)
            left += aaps[i].keys[j].id != 0;
    }
    qsort(all, count, sizeof(*all), compare_times);
    qsort(firsts, AAPS, sizeof(*firsts), compare_times);
    int64_t spread = firsts[AAPS - 1] - firsts[0];
    print_message("%u rotations, %u to %u for one AAP (floor %u), the first ones within %.2f %% of the validity, at most %u "
                  "a minute and %u an hour; %u deleted, %u left\n", count, fewest, most, expected,
                  100.0 * (double)spread / VALIDITY, most_within(all, count, 60), most_within(all, count, 3600), deletions,
                  left);
    assert_int_equal(failed_answers, 0);
    assert_int_equal(creations_at_once, 0);
    assert_true(fewest + 1 >= expected && most <= expected + 1);
    assert_true(spread >= VALIDITY / 20);
    assert_true(most_within(all, count, 60) <= 5);
    assert_true(most_within(all, count, 3600) <= AAPS / 20);
    assert_int_equal(deletions + left, next_id);
    assert_true(left <= 2 * AAPS); /* what has expired is gone */

    registry_free(registry);
    transport_free(transport);
    state_close(&state);
    config_clear(&config);
    munmap(memory, numbers_size());
    close(wake[0]);
    close(wake[1]);
    assert_int_equal(nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_years)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
