#include "kmsapi/credentials/source.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "kmsapi/base/backoff.h"
#include "kmsapi/credentials/chain.h"
#include "kmsapi/iso_time.h"

enum {
    THREAD_STACK_SIZE = 1024 * 1024, /* of locked memory, maybe; jansson recurses 2048 deep */
    REASON_SIZE = 1024,
    RENEW_AHEAD_MS = 180 * 1000,
    FAILURE_KEPT_MS = 1000, /* so long an answer, then the providers are asked again */
    FETCH_APART_MS = 200,   /* of what the service refuses */
    BACKOFF_FIRST_MS = 500, BACKOFF_MOST_MS = 60 * 1000,
};

/* All but what is marked is under the lock. */
struct credentials_source {
    pthread_mutex_t lock;
    pthread_cond_t changed;      /* for the thread: something to do */
    pthread_cond_t settled;      /* for who waits for the thread to be out of a callback */
    pthread_t thread;
    int end;                     /* eventfd, readable: it is to end */
    bool closed, in_callback;
    struct credentials_source_options options; /* constant; its texts are ours */
    struct chain *chain;         /* the thread's */
    int64_t clock_offset_s;      /* the thread's */
    void (*wake_up)(void *user);
    void *wake_up_user;

    bool wanted, fetching;       /* somebody waits; the thread is at it */
    struct credentials credentials; /* access_key_id NULL: none */
    const char *answered;        /* static */
    uint64_t serial;
    bool refused;                /* by the service: good only as long as there are no others */
    int64_t ends_ms, renew_ms;   /* CLOCK_BOOTTIME; INT64_MAX: never */
    int64_t fetched_ms, failed_ms; /* when the last fetch ended well, and not */
    unsigned int failures;       /* in a row */
    int failure;
    char reason[REASON_SIZE];    /* of the last failure */
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now); /* a session ends while the machine sleeps */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* From 0 to MOST. */
static int64_t random_part(int64_t most)
{
    uint32_t random = 0;
    if (most <= 0 || RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
        return 0;
    return (int64_t)((double)random / UINT32_MAX * (double)most);
}

static void free_text(const char **text)
{
    free((void *)(uintptr_t)*text);
    *text = NULL;
}

static void free_source(struct credentials_source *source)
{
    struct credentials_source_options *options = &source->options;
    const char **texts[] = {&options->provider, &options->user_agent, &options->ca_file,
                            &options->proxy, &options->metadata, &options->sts,
                            &options->vpc_region};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free_text(texts[i]);
    credentials_clear(&source->credentials);
    chain_free(source->chain);
    pthread_cond_destroy(&source->changed);
    pthread_cond_destroy(&source->settled);
    pthread_mutex_destroy(&source->lock);
    if (source->end >= 0)
        close(source->end);
    free(source);
}

/* -- the thread ------------------------------------------------------------------------------ */

static bool still_holds(const struct credentials_source *source, int64_t now)
{
    return source->credentials.access_key_id && now < source->ends_ms;
}

static bool same(const struct credentials *one, const struct credentials *other)
{
    const char *token = one->security_token, *other_token = other->security_token;
    return one->access_key_id && strcmp(one->access_key_id, other->access_key_id) == 0 &&
           strcmp(one->access_key_secret, other->access_key_secret) == 0 &&
           (token && other_token ? strcmp(token, other_token) == 0 : token == other_token);
}

/* Takes SESSION, fetched since BEGAN. */
static void keep(struct credentials_source *source, struct session *session, int64_t began)
{
    if (!same(&source->credentials, &session->credentials))
        source->serial++;
    credentials_clear(&source->credentials);
    source->credentials = session->credentials;
    source->credentials.serial = source->serial;
    source->answered = chain_answered(source->chain);
    source->refused = source->wanted = false;
    source->failures = 0;
    source->fetched_ms = now_ms();
    source->ends_ms = source->renew_ms = INT64_MAX;
    if (session->life_s > 0 && session->life_s < INT64_MAX / 1000 - began) {
        int64_t life_ms = session->life_s * 1000;
        int64_t ahead_ms = life_ms / 10 < RENEW_AHEAD_MS ? life_ms / 10 : RENEW_AHEAD_MS;
        source->ends_ms = began + life_ms;
        source->renew_ms = source->ends_ms - ahead_ms - random_part(ahead_ms / 2);
    }
}

/* What holds is kept, and renewed later; but soon where it ends soon. */
static void note_failure(struct credentials_source *source, int failure, const char *reason)
{
    int64_t now = now_ms(), wait_ms = backoff_ms(BACKOFF_FIRST_MS, BACKOFF_MOST_MS, source->failures);
    int64_t quarter_ms = (source->ends_ms - now) / 4;
    wait_ms = wait_ms < quarter_ms ? wait_ms : quarter_ms > 100 ? quarter_ms : 100;
    source->failures++;
    source->failed_ms = now;
    source->failure = failure;
    source->wanted = false;
    snprintf(source->reason, sizeof(source->reason), "%s", reason);
    source->renew_ms = now + wait_ms / 2 + random_part(wait_ms / 2);
}

/* With the lock held, which it gives up meanwhile. */
static void fetch(struct credentials_source *source)
{
    const struct fetching fetching = {
        .options = &source->options,
        .given_up = source->end,
        .clock_offset_s = &source->clock_offset_s,
    };
    struct session session = {0};
    char reason[REASON_SIZE] = "";
    int64_t began = now_ms();
    bool only_it = still_holds(source, began) && !source->refused;
    source->fetching = true;
    pthread_mutex_unlock(&source->lock);
    int r = chain_fetch(source->chain, &fetching, only_it, &session, reason, sizeof(reason));
    pthread_mutex_lock(&source->lock);
    source->fetching = false;
    if (r == 0)
        keep(source, &session, began);
    else
        note_failure(source, r, reason);
}

static void tell(struct credentials_source *source)
{
    void (*wake_up)(void *user) = source->closed ? NULL : source->wake_up;
    void *user = source->wake_up_user;
    if (!wake_up)
        return;
    source->in_callback = true;
    pthread_mutex_unlock(&source->lock);
    wake_up(user);
    pthread_mutex_lock(&source->lock);
    source->in_callback = false;
    pthread_cond_broadcast(&source->settled);
}

/* A session that is over is renewed when somebody asks for it, and not before. */
static int64_t next_ms(const struct credentials_source *source, int64_t now)
{
    if (source->wanted)
        return now;
    return still_holds(source, now) && source->ends_ms != INT64_MAX ? source->renew_ms : INT64_MAX;
}

static void sleep_until(struct credentials_source *source, int64_t when, int64_t now)
{
    enum { MOST_MS = 10 * 60 * 1000 }; /* this clock stands still while the machine sleeps */
    struct timespec until;
    if (when == INT64_MAX) {
        pthread_cond_wait(&source->changed, &source->lock);
        return;
    }
    int64_t wait_ms = when - now < MOST_MS ? when - now : MOST_MS;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&source->changed, &source->lock, &until);
}

static void *thread(void *user)
{
    struct credentials_source *source = user;
    pthread_mutex_lock(&source->lock);
    while (!source->closed) {
        int64_t now = now_ms(), when = next_ms(source, now);
        if (when > now) {
            sleep_until(source, when, now);
            continue;
        }
        fetch(source);
        tell(source);
    }
    pthread_mutex_unlock(&source->lock);
    return NULL;
}

/* -- its owner ------------------------------------------------------------------------------- */

static int copy_text(const char *text, const char **copy)
{
    *copy = text ? strdup(text) : NULL;
    return text && !*copy ? -ENOMEM : 0;
}

static int copy_options(const struct credentials_source_options *from,
                        struct credentials_source_options *to)
{
    *to = (struct credentials_source_options){
        .run = from->run, .run_user = from->run_user, .timeout_ms = from->timeout_ms,
        .pause_ms = from->pause_ms};
    int r = copy_text(from->provider ? from->provider : "default", &to->provider);
    r |= copy_text(from->user_agent ? from->user_agent : "kmsapi", &to->user_agent);
    r |= copy_text(from->ca_file, &to->ca_file);
    r |= copy_text(from->proxy, &to->proxy);
    r |= copy_text(from->metadata, &to->metadata);
    r |= copy_text(from->sts, &to->sts);
    r |= copy_text(from->vpc_region, &to->vpc_region);
    return r ? -ENOMEM : 0;
}

static int start_thread(struct credentials_source *source)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0)
        return -ENOMEM;
    pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
    sigfillset(&all); /* signals are the program's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&source->thread, &attributes, thread, source);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -r;
}

static struct credentials_source *make_source(void)
{
    struct credentials_source *source = calloc(1, sizeof(*source));
    pthread_condattr_t monotonic;
    if (!source)
        return NULL;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&source->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&source->settled, NULL);
    pthread_mutex_init(&source->lock, NULL);
    source->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    source->ends_ms = source->renew_ms = INT64_MAX;
    source->fetched_ms = source->failed_ms = INT64_MIN / 2;
    return source;
}

int credentials_source_check(const char *provider, char *reason, size_t size)
{
    struct chain *chain = NULL;
    int r = chain_new(provider, &chain, reason, size);
    chain_free(chain);
    return r;
}

int credentials_source_new(const struct credentials_source_options *options,
                           struct credentials_source **made, char *reason, size_t size)
{
    snprintf(reason, size, "memory is short");
    struct credentials_source *source = make_source();
    int r = source && source->end >= 0 ? copy_options(options, &source->options) : -ENOMEM;
    if (r == 0)
        r = chain_new(source->options.provider, &source->chain, reason, size);
    if (r == 0) {
        r = start_thread(source);
        if (r < 0)
            snprintf(reason, size, "no thread for credentials: %s", strerror(-r));
    }
    if (r == 0)
        *made = source;
    else if (source)
        free_source(source);
    return r;
}

void credentials_source_free(struct credentials_source *source)
{
    if (!source)
        return;
    pthread_mutex_lock(&source->lock);
    source->closed = true;
    eventfd_write(source->end, 1);
    pthread_cond_broadcast(&source->changed);
    pthread_mutex_unlock(&source->lock);
    pthread_join(source->thread, NULL);
    free_source(source);
}

void credentials_source_on_change(struct credentials_source *source, void (*wake_up)(void *user),
                                  void *user)
{
    pthread_mutex_lock(&source->lock);
    source->wake_up = wake_up;
    source->wake_up_user = user;
    while (source->in_callback)
        pthread_cond_wait(&source->settled, &source->lock);
    pthread_mutex_unlock(&source->lock);
}

static void want(struct credentials_source *source)
{
    source->wanted = true;
    pthread_cond_broadcast(&source->changed);
}

/* With the lock held. */
static int get(struct credentials_source *source, struct credentials *credentials, char *reason,
               size_t size)
{
    int64_t now = now_ms();
    if (still_holds(source, now) && !source->refused) {
        int r = credentials_copy(&source->credentials, credentials);
        if (r < 0)
            snprintf(reason, size, "memory is short");
        return r;
    }
    bool asking = source->wanted || source->fetching;
    if (!asking && now - source->failed_ms < FAILURE_KEPT_MS) {
        snprintf(reason, size, "%s", source->reason);
        return source->failure;
    }
    if (!asking)
        want(source);
    snprintf(reason, size, "credentials: %s has not answered yet%s%s",
             strncmp(source->options.provider, "uri:", 4) == 0 ? "uri" : source->options.provider,
             source->failures ? "; before: " : "", source->failures ? source->reason : "");
    return -EAGAIN;
}

int credentials_source_get(void *user, struct credentials *credentials, char *reason, size_t size)
{
    struct credentials_source *source = user;
    *credentials = (struct credentials){0};
    pthread_mutex_lock(&source->lock);
    int r = get(source, credentials, reason, size);
    pthread_mutex_unlock(&source->lock);
    return r;
}

bool credentials_source_refused(void *user, uint64_t serial)
{
    struct credentials_source *source = user;
    pthread_mutex_lock(&source->lock);
    bool current = serial == source->serial && source->credentials.access_key_id;
    bool worth = !current || source->refused || now_ms() - source->fetched_ms >= FETCH_APART_MS;
    if (current && worth && !source->refused) {
        source->refused = true;
        want(source);
    }
    pthread_mutex_unlock(&source->lock);
    return worth;
}

void credentials_source_describe(struct credentials_source *source, char *text, size_t size)
{
    char until[ISO_TIME_SIZE];
    text[0] = '\0';
    pthread_mutex_lock(&source->lock);
    int64_t left_ms = source->ends_ms == INT64_MAX ? -1 : source->ends_ms - now_ms();
    if (source->answered && left_ms >= 0 && iso_time_format(time(NULL) + left_ms / 1000, until) == 0)
        snprintf(text, size, "%s, until %s", source->answered, until);
    else if (source->answered)
        snprintf(text, size, "%s", source->answered);
    pthread_mutex_unlock(&source->lock);
}
