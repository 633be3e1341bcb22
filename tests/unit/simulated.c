#include "tests/unit/simulated.h"

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

#include "fs/engine/parts.h"
#include "fs/loop/loop.h"
#include "kmsapi/iso_time.h"
#include "kmsapi/kms.h"

enum { HOLD_MS = 20 };

struct simulated_aap simulated_aaps[SIMULATED_AAPS];
struct config simulated_config;

static const struct simulation *simulation;
static int64_t now_ms; /* since 1970; the engine's thread alone moves it */
static struct registry *registry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool over;
static unsigned int written, answered, failed_answers; /* written: 0: not all are */

int64_t simulated_now(void)
{
    return now_ms / 1000;
}

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
    return now_ms - SIMULATED_BEGIN * 1000 + 1000000;
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

static unsigned int next_id, creations_at_once;

/* A request that is answered from transport_run. */
struct request {
    enum { DESCRIBE, LIST_AAPS, LIST_KEYS, CREATE, DELETE, GET } kind;
    struct simulated_aap *aap;
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

static struct simulated_aap *find(const char *name)
{
    return &simulated_aaps[strtoul(name + strlen("aap-"), NULL, 10)];
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
    return add((struct request){.kind = GET, .id = (unsigned int)strtoul(client_key_id + strlen("KAAP."), NULL, 10),
                                .key_done = done, .user = user});
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

static bool all_answered(void)
{
    pthread_mutex_lock(&lock);
    bool all = written && answered >= written;
    pthread_mutex_unlock(&lock);
    return all;
}

unsigned int simulated_count(const struct simulated_aap *aap)
{
    unsigned int count = 0;
    for (size_t i = 0; i < SIMULATED_KEYS; i++)
        count += aap->keys[i].id != 0;
    return count;
}

struct simulated_key *simulated_make(struct simulated_aap *aap, const char *not_before, const char *not_after)
{
    struct simulated_key *key = aap->keys;
    if (simulated_count(aap) >= simulation->quota)
        return NULL;
    while (key->id)
        key++;
    *key = (struct simulated_key){.id = ++next_id, .made = now_ms / 1000};
    snprintf(key->name, sizeof(key->name), "KAAP.%u", key->id);
    snprintf(key->not_before, sizeof(key->not_before), "%s", not_before);
    snprintf(key->not_after, sizeof(key->not_after), "%s", not_after);
    assert_int_equal(iso_time_parse(key->not_after, strlen(key->not_after), &key->end), 0);
    return key;
}

static struct simulated_key *find_key(unsigned int id, struct simulated_aap **aap)
{
    for (*aap = simulated_aaps; *aap < simulated_aaps + simulation->aaps; ++*aap)
        for (size_t j = 0; j < SIMULATED_KEYS; j++)
            if ((*aap)->keys[j].id == id)
                return &(*aap)->keys[j];
    return NULL;
}

/* As the transport tells of a connection that broke, or of KMS's own refusals. */
static void end_with(struct kms_answer *answer, int number, const char *code, long status, bool maybe_done)
{
    answer->error = (struct kms_error){.number = number, .http_status = status, .maybe_done = maybe_done};
    strcpy(answer->error.code, code);
    strcpy(answer->error.message, "as simulated");
}

static void create(const struct request *request, struct kms_answer *answer, enum simulated_fault fault)
{
    struct simulated_aap *aap = request->aap;
    struct simulated_key *place =
        fault == FAULT_BEFORE || answer->error.number ? NULL : simulated_make(aap, request->not_before, request->not_after);
    aap->creating = false;
    if (fault == FAULT_BEFORE || fault == FAULT_AFTER)
        end_with(answer, ECONNRESET, "Network.Reset", 0, true);
    else if (!place && !answer->error.number)
        end_with(answer, EDQUOT, "Rejected.LimitExceeded", 400, false);
    if (place)
        place->ours = place->lost = true;
    if (answer->error.number) {
        request->key_done(request->user, answer, NULL);
        return;
    }
    place->lost = false;
    assert_true(aap->rotations < SIMULATED_ROTATIONS);
    aap->times[aap->rotations++] = now_ms / 1000;
    const struct kms_client_key key = {.client_key_id = place->name, .key_algorithm = "RSA_2048", .private_key_data = "AAAA",
                                       .not_before = place->not_before, .not_after = place->not_after};
    request->key_done(request->user, answer, &key);
}

static void list_keys(const struct request *request, struct kms_answer *answer, enum simulated_fault fault)
{
    struct kms_client_key keys[SIMULATED_KEYS];
    char created[SIMULATED_KEYS][ISO_TIME_SIZE];
    size_t count = 0;
    for (size_t i = 0; i < SIMULATED_KEYS; i++) {
        const struct simulated_key *key = &request->aap->keys[i];
        if (key->id == 0)
            continue;
        iso_time_format(key->made, created[count]);
        keys[count] = (struct kms_client_key){.client_key_id = key->name, .key_algorithm = "RSA_2048",
                                              .not_before = key->not_before, .not_after = key->not_after,
                                              .create_time = created[count], .public_key_data = "",
                                              .aap_name = request->aap->name};
        count++;
    }
    if (fault == FAULT_SHORT && count > 0)
        count--;
    request->keys_done(request->user, answer, keys, count);
}

static void get_key(const struct request *request, struct kms_answer *answer)
{
    if (answer->error.number) {
        request->key_done(request->user, answer, NULL);
        return;
    }
    struct simulated_aap *aap;
    const struct simulated_key *found = find_key(request->id, &aap);
    struct kms_client_key key = {0};
    if (!found)
        end_with(answer, ENOENT, "Forbidden.ResourceNotFound", 404, false);
    else
        key = (struct kms_client_key){.client_key_id = found->name, .not_before = found->not_before,
                                      .not_after = found->not_after, .aap_name = aap->name};
    request->key_done(request->user, answer, found ? &key : NULL);
}

static void delete_key(const struct request *request, struct kms_answer *answer, enum simulated_fault fault)
{
    struct simulated_aap *aap;
    struct simulated_key *key = find_key(request->id, &aap);
    if (key && !answer->error.number && fault != FAULT_BEFORE) {
        if (simulation->deletes)
            simulation->deletes(aap, key);
        key->id = 0;
    }
    if (fault == FAULT_BEFORE || fault == FAULT_AFTER)
        end_with(answer, ECONNRESET, "Network.Reset", 0, true);
    else if (!key && !answer->error.number)
        end_with(answer, ENOENT, "Forbidden.ResourceNotFound", 404, false);
    request->simple_done(request->user, answer);
}

static void list_aaps(const struct request *request, const struct kms_answer *answer)
{
    static struct kms_aap list[SIMULATED_AAPS];
    for (size_t i = 0; i < simulation->aaps; i++)
        list[i] = (struct kms_aap){.name = simulated_aaps[i].name};
    request->aaps_done(request->user, answer, list, simulation->aaps);
}

static void answer_one(void)
{
    const struct request request = requests[request_first++ % REQUESTS_MOST];
    const struct transport_answer transport = {.server_date = now_ms / 1000, .sent_at_ms = now_ms - HOLD_MS,
                                               .received_at_ms = now_ms};
    struct kms_answer answer = {.request_id = "r", .transport = &transport};
    struct kms_aap aap = {.arn = "acs:kms:cn-hangzhou:1192853035110000:applicationaccesspoint/a"};
    enum simulated_fault fault = simulation->fault && all_answered() ? simulation->fault(request.kind == CREATE) : FAULT_NONE;
    if (fault == FAULT_UNAVAILABLE)
        end_with(&answer, EAGAIN, "ServiceUnavailable", 503, request.kind == CREATE);
    else if ((fault == FAULT_BEFORE || fault == FAULT_AFTER) && request.kind != CREATE && request.kind != DELETE)
        end_with(&answer, ECONNRESET, "Network.Reset", 0, false);
    switch (request.kind) {
    case DESCRIBE:
        aap.name = request.aap->name;
        request.aap_done(request.user, &answer, &aap);
        break;
    case LIST_AAPS:
        list_aaps(&request, &answer);
        break;
    case LIST_KEYS:
        list_keys(&request, &answer, fault);
        break;
    case CREATE:
        create(&request, &answer, fault);
        break;
    case DELETE:
        delete_key(&request, &answer, fault);
        break;
    case GET:
        get_key(&request, &answer);
        break;
    }
}

/* When anything is to happen next: between now and then the engine has nothing to do. One that is late tries again. */
static int64_t next_event(void)
{
    int64_t now = now_ms / 1000, next = now + SIMULATED_DAY;
    registry_lock(registry);
    for (const struct registry_aap *aap = registry_first_aap(registry); aap; aap = aap->next) {
        if (aap->rotation.next > now && aap->rotation.next < next)
            next = aap->rotation.next;
        if (aap->rotation.state >= ROTATION_DUE && now + 600 < next)
            next = now + 600;
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

enum { PUBLICATIONS_MOST = 2048 };
static struct publish_request published[PUBLICATIONS_MOST];
static unsigned int publish_first, publish_end;

void __wrap_transport_run(struct transport *transport, int timeout_ms)
{
    if (request_first != request_end) {
        now_ms += HOLD_MS;
        answer_one();
        return;
    }
    if (timeout_ms == 0 || publish_first != publish_end)
        return;
    bool ends = now_ms / 1000 >= simulation->end;
    if (!all_answered() || ends) {
        if (ends)
            end_it();
        usleep(100); /* the other thread's writes are on their way */
        return;
    }
    if (simulation->tick)
        simulation->tick(registry);
    int64_t then_ms = next_event(), short_ms = now_ms + timeout_ms;
    /* one that is woken once a minute when nothing is due may as well sleep on */
    now_ms = timeout_ms < 59000 || then_ms < short_ms ? short_ms : then_ms;
}

/* -- the mount --------------------------------------------------------------------------------- */

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

/* -- the engine ------------------------------------------------------------------------------- */

static char place[64], reason[2 * STATE_PATH_SIZE + 256];

static int remove_one(const char *path, const struct stat *attributes, int type, struct FTW *where)
{
    return remove(path);
}

/* One after the other: a control bears no two at once. */
static void write_password(struct engine *engine, uint32_t aap, unsigned int number)
{
    static const char command[] = "Abcdefg1~\n";
    const struct engine_write write = {.number = number, .aap = aap, .data = command, .size = sizeof(command) - 1, .pid = 1};
    assert_true(loop_submit(engine, &write));
    pthread_mutex_lock(&lock);
    while (simulation->tries && answered < number)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void write_passwords(struct engine *engine)
{
    pthread_mutex_lock(&lock);
    while (!first_listing)
        pthread_cond_wait(&listed, &lock);
    pthread_mutex_unlock(&lock);
    unsigned int count = 0;
    for (uint32_t i = 0; i < simulation->aaps; i++)
        for (unsigned int left = simulation->tries ? simulation->tries(i) : 1; left > 0; left--)
            write_password(engine, i + 1, ++count);
    pthread_mutex_lock(&lock);
    written = count;
    while (!over)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void open_state(struct state *state)
{
    struct state_places places = {.may_make_key = true};
    /* in memory where there is such a place: 20,000 files come and go */
    snprintf(place, sizeof(place), "%s/aapfs-simulation-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(place));
    snprintf(places.directory, sizeof(places.directory), "%s/state", place);
    snprintf(places.key, sizeof(places.key), "%s/key", place);
    assert_int_equal(state_open(&places, state, reason, sizeof(reason)), 0);
    assert_int_equal(state_make_key(&places, reason, sizeof(reason)), 0);
    assert_int_equal(state_open_key(&places, state, reason, sizeof(reason)), 0);
}

static void run(struct transport *transport, struct state *state)
{
    const struct engine_parts parts = {
        .registry = registry,
        .config = &simulated_config,
        .transport = transport,
        .state = state,
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
    struct engine *engine = loop_start(&parts);
    assert_non_null(engine);
    write_passwords(engine);
    loop_stop(engine);
}

void simulate(const struct simulation *wanted)
{
    static struct state state;
    struct transport *transport;
    simulation = wanted;
    now_ms = SIMULATED_BEGIN * 1000;
    for (size_t i = 0; i < simulation->aaps; i++)
        snprintf(simulated_aaps[i].name, sizeof(simulated_aaps[i].name), "aap-%03zu", i);
    open_state(&state);
    assert_int_equal(pipe2(wake, O_NONBLOCK | O_CLOEXEC), 0);
    void *memory = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(config_set_endpoint(&simulated_config, "http://127.0.0.1:1", reason, sizeof(reason)), 0);
    const struct transport_options options = {.endpoint = simulated_config.endpoint, .get_credentials = no_credentials};
    assert_int_equal(transport_new(&options, &transport, reason, sizeof(reason)), 0);
    registry = registry_new(numbers_open(memory));
    run(transport, &state);
    assert_int_equal(failed_answers, 0);
    assert_int_equal(creations_at_once, 0);
    registry_free(registry);
    transport_free(transport);
    state_close(&state);
    config_clear(&simulated_config);
    munmap(memory, numbers_size());
    close(wake[0]);
    close(wake[1]);
    assert_int_equal(nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
