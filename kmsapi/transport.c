#include "kmsapi/transport.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "kmsapi/base/endpoint.h"
#include "kmsapi/base/proxy.h"
#include "kmsapi/base/resolve.h"
#include "kmsapi/base/throttle.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/transport_error.h"
#include "kmsapi/transport_request.h"

enum {
    ATTEMPTS_MOST = 4, CLOCK_WRONG_S = 60,
    BACKOFF_MS = 200, /* KMS's sample: 2^n * 200 ms; ours is a random part of it */
    RETRY_AFTER_MOST_MS = 120 * 1000,
};

enum state {
    STATE_BEGIN, STATE_RESOLVING, STATE_UNSIGNED, /* there are no credentials yet */
    STATE_RUNNING, STATE_WAITING, STATE_DONE,
};

struct transfer {
    struct transport_request request; /* its texts are in TEXTS */
    struct acs3_pair *query;
    char *texts;
    size_t texts_size;
    transport_done *done;
    void *user;
    enum state state;
    bool parked; /* past its own deadline: what comes is taken, nothing is sent again */
    int64_t deadline_ms, again_ms; /* CLOCK_MONOTONIC */
    int64_t begun_ms;   /* when the attempt went */
    unsigned int round; /* of the transport's, when it was tried last */
    bool held;          /* it would have gone before, but for the throttle */
    int64_t signed_offset_s; /* the clock's, when the attempt was signed */
    uint64_t signed_by;      /* the serial of its credentials */
    bool refused;            /* those were, by KMS: once is enough */
    struct attempt attempt;
    struct transport_answer answer;
    struct kms_error earlier; /* what the attempt before ended with */
    struct transfer *next;
};

struct transport {
    struct transport_options options;
    char *ca_file, *user_agent, *proxy_url;
    struct endpoint endpoint;
    struct proxy proxy; /* host "": none */
    struct resolver *resolver;
    int64_t clock_offset_s; /* KMS's time, by the Date of its last answer, minus ours */
    struct throttle throttle;
    unsigned int round; /* counts the calls of begin_attempts */
    CURLM *multi;
    int watched[TRANSPORT_WATCHED_MOST];
    unsigned int watched_count;
    atomic_bool woken;
    struct transfer *transfers;
};

static int64_t milliseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void name_changed(void *user)
{
    struct transport *transport = user;
    curl_multi_wakeup(transport->multi);
}

/* A proxy's URL may carry a password. */
static int choose_proxy(struct transport *transport, char *reason, size_t size)
{
    const char *url = proxy_for(transport->options.proxy, &transport->endpoint);
    transport->options.proxy = NULL;
    if (!url)
        return 0;
    if (proxy_parse(url, &transport->proxy) < 0) {
        snprintf(reason, size, "proxy: not a URL of a proxy; right is http://HOST:PORT (see https_proxy in the environment)");
        return -EINVAL;
    }
    transport->options.proxy = transport->proxy_url = OPENSSL_strdup(url);
    return transport->proxy_url ? 0 : -ENOMEM;
}

int transport_new(const struct transport_options *options, struct transport **made, char *reason,
                  size_t size)
{
    struct transport *transport = calloc(1, sizeof(*transport));
    int r = -ENOMEM;
    if (transport) {
        transport->options = *options;
        r = endpoint_parse(options->endpoint, &transport->endpoint, reason, size);
    }
    if (r == 0)
        r = choose_proxy(transport, reason, size);
    if (r == 0) {
        transport->multi = curl_multi_init();
        if (transport->multi)
            transport->resolver = resolver_new(name_changed, transport);
        transport->user_agent = strdup(options->user_agent ? options->user_agent : "aapfs");
        transport->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
        transport->options.user_agent = transport->user_agent;
        transport->options.ca_file = transport->ca_file;
        if (!transport->resolver || !transport->user_agent ||
            (options->ca_file && !transport->ca_file))
            r = -ENOMEM;
    }
    if (r < 0) {
        if (r == -ENOMEM)
            snprintf(reason, size, "memory is short");
        transport_free(transport);
        return r;
    }
    *made = transport;
    return 0;
}

static void free_transfer(struct transport *transport, struct transfer *transfer)
{
    if (transfer->attempt.easy)
        curl_multi_remove_handle(transport->multi, transfer->attempt.easy);
    attempt_clear(&transfer->attempt);
    OPENSSL_clear_free(transfer->texts, transfer->texts_size);
    free(transfer->query);
    free(transfer);
}

void transport_free(struct transport *transport)
{
    if (!transport)
        return;
    while (transport->transfers) {
        struct transfer *transfer = transport->transfers;
        transport->transfers = transfer->next;
        if (transfer->request.drop)
            transfer->request.drop(transfer->user);
        free_transfer(transport, transfer);
    }
    resolver_free(transport->resolver);
    curl_multi_cleanup(transport->multi);
    free(transport->ca_file);
    free(transport->user_agent);
    if (transport->proxy_url)
        OPENSSL_clear_free(transport->proxy_url, strlen(transport->proxy_url));
    free(transport);
}

static const char *keep(char **room, const char *text)
{
    char *kept = *room;
    *room = stpcpy(kept, text) + 1;
    return kept;
}

/* Copies REQUEST with all its texts, into one block that is wiped. */
static int copy_request(struct transfer *transfer, const struct transport_request *request)
{
    size_t size = strlen(request->method) + strlen(request->operation) +
                  strlen(request->version) + 3 +
                  (request->password ? strlen(request->password) + 1 : 0);
    for (size_t i = 0; i < request->query_count; i++)
        size += strlen(request->query[i].name) + strlen(request->query[i].value) + 2;
    transfer->texts = OPENSSL_malloc(size);
    transfer->query = calloc(request->query_count + 1, sizeof(*transfer->query));
    if (!transfer->texts || !transfer->query)
        return -ENOMEM;
    char *room = transfer->texts;
    transfer->texts_size = size;
    transfer->request = *request;
    transfer->request.method = keep(&room, request->method);
    transfer->request.operation = keep(&room, request->operation);
    transfer->request.version = keep(&room, request->version);
    if (request->password)
        transfer->request.password = keep(&room, request->password);
    for (size_t i = 0; i < request->query_count; i++) {
        transfer->query[i].name = keep(&room, request->query[i].name);
        transfer->query[i].value = keep(&room, request->query[i].value);
    }
    transfer->request.query = transfer->query;
    return 0;
}

int transport_start(struct transport *transport, const struct transport_request *request,
                    transport_done *done, void *user)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return -ENOMEM;
    if (copy_request(transfer, request) < 0) {
        free_transfer(transport, transfer);
        return -ENOMEM;
    }
    transfer->done = done;
    transfer->user = user;
    transfer->deadline_ms = milliseconds(CLOCK_MONOTONIC) + request->timeout_ms;
    snprintf(transfer->answer.error.operation, sizeof(transfer->answer.error.operation), "%s",
             request->operation);
    transfer->next = transport->transfers;
    transport->transfers = transfer;
    return 0;
}

static void fail(struct transfer *transfer, int number, const char *code, const char *message)
{
    transport_error_set(&transfer->answer.error, number, code, message);
    transfer->state = STATE_DONE;
}

/* Negative: the request waits, or is done. */
static int get_credentials(const struct transport *transport, struct transfer *transfer,
                           struct credentials *credentials, char *reason, size_t size)
{
    const struct transport_options *options = &transport->options;
    int r = options->get_credentials(options->get_credentials_user, credentials, reason, size);
    if (r == 0 && transfer->refused && credentials->serial == transfer->signed_by) {
        credentials_clear(credentials);
        transfer->answer.error = transfer->earlier; /* the same ones again */
        transfer->state = STATE_DONE;
        return -EACCES;
    }
    if (r == -EAGAIN)
        transfer->state = STATE_UNSIGNED;
    else if (r < 0)
        fail(transfer, r == -ENOMEM ? ENOMEM : EACCES, "Credentials", reason);
    else
        transfer->signed_by = credentials->serial;
    return r;
}

static void begin_attempt(struct transport *transport, struct transfer *transfer)
{
    struct credentials credentials = {0};
    _cleanup_(free) char *addresses = NULL;
    const char *why;
    char reason[512] = "";

    const char *host = transport->proxy.host[0] ? transport->proxy.host : transport->endpoint.host;
    switch (resolver_look_up(transport->resolver, host, &addresses, &why)) {
    case RESOLVE_PENDING:
        transfer->state = STATE_RESOLVING;
        return;
    case RESOLVE_FAILED:
        snprintf(reason, sizeof(reason), "%.253s does not resolve: %.128s", host, why);
        fail(transfer, EHOSTUNREACH, "Network.NameNotResolved", reason);
        return;
    case RESOLVE_FOUND:
        break;
    }
    int r = get_credentials(transport, transfer, &credentials, reason, sizeof(reason));
    if (r < 0)
        return;
    const struct kms_error clean = {0};
    char operation[sizeof(clean.operation)];
    memcpy(operation, transfer->answer.error.operation, sizeof(operation));
    transfer->answer.error = clean;
    memcpy(transfer->answer.error.operation, operation, sizeof(operation));
    transfer->signed_offset_s = transport->clock_offset_s;
    r = attempt_make(&transfer->attempt, &transport->options, &transport->endpoint,
                     &transport->proxy, &transfer->request, &credentials, addresses,
                     time(NULL) + transfer->signed_offset_s);
    credentials_clear(&credentials);
    if (r == 0)
        curl_easy_setopt(transfer->attempt.easy, CURLOPT_PRIVATE, transfer);
    /* on a connection that closes once more libcurl would send the same nonce again, and KMS's answer would hide why */
    if (r == 0 && transfer->answer.attempts > 0)
        curl_easy_setopt(transfer->attempt.easy, CURLOPT_FRESH_CONNECT, 1L);
    if (r < 0 || curl_multi_add_handle(transport->multi, transfer->attempt.easy) != CURLM_OK) {
        fail(transfer, ENOMEM, "Memory", "memory is short");
        return;
    }
    transfer->answer.attempts++;
    transfer->begun_ms = milliseconds(CLOCK_MONOTONIC);
    throttle_take(&transport->throttle, transfer->begun_ms);
    transfer->answer.sent_at_ms = milliseconds(CLOCK_REALTIME);
    transfer->held = false;
    transfer->state = STATE_RUNNING;
}

/* What the answer asks to wait for; 0: it does not. */
static int64_t asked_to_wait_ms(const struct transfer *transfer)
{
    const char *asked = attempt_header(&transfer->attempt, "x-acs-retry-after");
    if (!asked || asked[0] < '0' || asked[0] > '9')
        return 0;
    intmax_t asked_ms = strtoimax(asked, NULL, 10);
    return asked_ms < RETRY_AFTER_MOST_MS ? asked_ms : RETRY_AFTER_MOST_MS;
}

/* At most BACKOFF * 2^n, a random part of it; at least what the server asked for. */
static int64_t backoff(const struct transfer *transfer)
{
    uint32_t random = 0;
    if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
        random = UINT32_MAX;
    int64_t wait_ms = (int64_t)(random % (BACKOFF_MS << (transfer->answer.attempts - 1)));
    int64_t asked_ms = asked_to_wait_ms(transfer);
    return asked_ms > wait_ms ? asked_ms : wait_ms;
}

/* Our clock was wrong, nothing was done, and the answer told the right time. */
static bool learned_the_time(const struct transport *transport, const struct transfer *transfer)
{
    return llabs(transport->clock_offset_s - transfer->signed_offset_s) > CLOCK_WRONG_S;
}

/* Other credentials may do: a session that ended early, or a key that was replaced. */
static bool may_sign_anew(const struct transport *transport, struct transfer *transfer)
{
    const struct transport_options *options = &transport->options;
    const struct kms_error *error = &transfer->answer.error;
    if (transfer->refused || !options->credentials_refused || !kms_error_is_about_credentials(error))
        return false;
    transfer->refused = true;
    return options->credentials_refused(options->get_credentials_user, transfer->signed_by);
}

/* Whether an attempt that ended so may be repeated: without an answer, or with an error of KMS. */
static bool may_repeat(const struct transport *transport, const struct transfer *transfer,
                       bool answered, bool maybe_sent)
{
    const struct kms_error *error = &transfer->answer.error;
    bool harmless = transfer->request.kind != TRANSPORT_CREATE;
    if (transfer->parked || transfer->answer.attempts >= ATTEMPTS_MOST ||
        error->number == ENOMEM || error->number == EPROTO)
        return false;
    long proxy_status = answered ? 0 : transport_error_proxy_status(transfer->attempt.easy);
    if (proxy_status >= 400 && proxy_status < 500)
        return false; /* it will not have it */
    if (!answered)
        return !maybe_sent || (harmless && error->number != EIO);
    if (error->http_status < 300)
        return false; /* it came as a success: who knows what was done */
    switch (kms_error_retry(error)) {
    case KMS_RETRY_THROTTLED:
        return true;
    case KMS_RETRY_CLOCK:
        return !transfer->request.dated && learned_the_time(transport, transfer);
    case KMS_RETRY_NOT_CREATIONS:
        return harmless;
    case KMS_RETRY_READ_ONCE:
        return transfer->request.kind == TRANSPORT_READ && transfer->answer.attempts == 1;
    case KMS_RETRY_CREDENTIALS: /* may_sign_anew */
    case KMS_RETRY_NEVER:
        break;
    }
    return false;
}

/* What the answer says of the rate of requests. */
static void heed(struct transport *transport, const struct transfer *transfer)
{
    const struct kms_error *error = &transfer->answer.error;
    if (error->number && kms_error_retry(error) == KMS_RETRY_THROTTLED)
        throttle_refused(&transport->throttle, transfer->begun_ms, asked_to_wait_ms(transfer),
                         milliseconds(CLOCK_MONOTONIC));
    else
        throttle_answered(&transport->throttle);
}

static void attempt_ended(struct transport *transport, struct transfer *transfer, CURLcode code)
{
    struct attempt *attempt = &transfer->attempt;
    struct transport_answer *answer = &transfer->answer;
    bool writes = transfer->request.kind != TRANSPORT_READ;
    bool maybe_sent = attempt_maybe_sent(attempt), answered = code == CURLE_OK;
    long status = 0;

    curl_multi_remove_handle(transport->multi, attempt->easy);
    answer->received_at_ms = milliseconds(CLOCK_REALTIME);
    const char *date = attempt_header(attempt, "date");
    time_t server_date = date ? curl_getdate(date, NULL) : -1;
    answer->server_date = server_date > 0 ? server_date : 0;
    if (server_date > 0)
        transport->clock_offset_s = server_date - answer->received_at_ms / 1000;
    answer->time_was_wrong = learned_the_time(transport, transfer);
    curl_easy_getinfo(attempt->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!answered) {
        transport_error_of_curl(&answer->error, attempt->easy, code, attempt->detail, maybe_sent,
                                attempt->too_large);
        answer->error.maybe_done = writes && maybe_sent;
    } else if (status < 200 || status > 299) {
        transport_error_of_answer(&answer->error, status, attempt->body ? attempt->body : "",
                                  attempt->size, transfer->request.password);
        answer->error.maybe_done = writes && kms_error_is_ambiguous(&answer->error);
    } else if (attempt->body && transport_error_of_success(&answer->error, status, attempt->body, attempt->size,
                                                           transfer->request.password)) {
        answer->error.maybe_done = writes;
    }
    if (answered)
        heed(transport, transfer);
    if (answer->error.number == 0) {
        answer->error.http_status = status;
        answer->body = attempt->body;
        answer->size = attempt->size;
        transfer->state = STATE_DONE;
        return;
    }
    transfer->again_ms = milliseconds(CLOCK_MONOTONIC) + backoff(transfer);
    bool repeat = may_repeat(transport, transfer, answered, maybe_sent);
    if (!repeat && answered && may_sign_anew(transport, transfer)) {
        transfer->again_ms = milliseconds(CLOCK_MONOTONIC);
        repeat = true;
    }
    attempt_clear(attempt);
    transfer->earlier = answer->error;
    /* what cannot be repeated in time is told now, rather than as a timeout */
    transfer->state =
        repeat && transfer->again_ms < transfer->deadline_ms ? STATE_WAITING : STATE_DONE;
}

static void time_is_up(struct transport *transport, struct transfer *transfer)
{
    bool running = transfer->state == STATE_RUNNING;
    bool sent = running && attempt_maybe_sent(&transfer->attempt);
    if (running)
        curl_multi_remove_handle(transport->multi, transfer->attempt.easy);
    attempt_clear(&transfer->attempt);
    char reason[512] = "";
    struct credentials late = {0};
    if (transfer->state == STATE_UNSIGNED) /* for what it says */
        transport->options.get_credentials(transport->options.get_credentials_user, &late, reason,
                                           sizeof(reason));
    credentials_clear(&late);
    if (!sent && transfer->earlier.number)
        transfer->answer.error = transfer->earlier; /* says more than that time is up */
    else if (transfer->held)
        fail(transfer, EAGAIN, "Client.Throttled",
             "KMS throttles the requests of this account; this one was not sent in time");
    else if (transfer->state == STATE_RESOLVING)
        fail(transfer, EHOSTUNREACH, "Network.NameNotResolved", "no nameserver answered in time");
    else if (transfer->state == STATE_UNSIGNED)
        fail(transfer, EACCES, "Credentials", reason[0] ? reason : "no credentials came in time");
    else
        fail(transfer, ETIMEDOUT, "Network.Timeout",
             sent ? "the request was sent and no answer came in time"
                  : "no connection to KMS in time");
    if (sent)
        transfer->answer.error.maybe_done = transfer->request.kind != TRANSPORT_READ;
    transfer->state = STATE_DONE;
}

/* True: the request may have arrived, and its answer is waited for. */
static bool park(struct transfer *transfer)
{
    if (transfer->parked || !transfer->request.parked || transfer->state != STATE_RUNNING ||
        !attempt_maybe_sent(&transfer->attempt))
        return false;
    transfer->parked = true;
    transfer->deadline_ms += transfer->request.park_ms;
    transfer->request.parked(transfer->user);
    return true;
}

/* Whether it could go now if requests could. */
static bool wants_to_go(const struct transfer *transfer, int64_t now_ms)
{
    return transfer->state == STATE_BEGIN || transfer->state == STATE_RESOLVING ||
           transfer->state == STATE_UNSIGNED ||
           (transfer->state == STATE_WAITING && now_ms >= transfer->again_ms);
}

/* Changes before reads, since somebody waits for them; of each the oldest, which is the last in the list. NULL: none. */
static struct transfer *first_to_go(const struct transport *transport, int64_t now_ms)
{
    struct transfer *first = NULL;
    for (struct transfer *transfer = transport->transfers; transfer; transfer = transfer->next)
        if (wants_to_go(transfer, now_ms) && transfer->round != transport->round &&
            (!first || transfer->request.kind != TRANSPORT_READ || first->request.kind == TRANSPORT_READ))
            first = transfer;
    return first;
}

/* Begins what may go; when the next one may. */
static int64_t begin_attempts(struct transport *transport, int64_t now_ms)
{
    struct throttle *throttle = &transport->throttle;
    if (throttle_is_open(throttle, now_ms)) {
        for (struct transfer *transfer = transport->transfers; transfer; transfer = transfer->next)
            if (wants_to_go(transfer, now_ms))
                begin_attempt(transport, transfer);
        return INT64_MAX;
    }
    struct transfer *first;
    int64_t next_ms = throttle_next_ms(throttle, now_ms);
    transport->round++;
    while ((first = first_to_go(transport, now_ms)) && next_ms <= now_ms) {
        first->round = transport->round; /* it may still wait, for its name or credentials */
        begin_attempt(transport, first);
        next_ms = throttle_next_ms(throttle, now_ms);
    }
    for (struct transfer *transfer = transport->transfers; transfer; transfer = transfer->next)
        transfer->held = transfer->state == STATE_BEGIN;
    return first ? next_ms : INT64_MAX;
}

/* Moves everything on that needs no network; when to look again. */
static int64_t tend(struct transport *transport)
{
    int64_t now_ms = milliseconds(CLOCK_MONOTONIC);
    int64_t next_ms = begin_attempts(transport, now_ms);
    for (struct transfer *transfer = transport->transfers; transfer; transfer = transfer->next) {
        if (transfer->state != STATE_DONE && now_ms >= transfer->deadline_ms && !park(transfer))
            time_is_up(transport, transfer);
        int64_t wake_ms = transfer->state == STATE_DONE ? now_ms : transfer->deadline_ms;
        if (transfer->state == STATE_WAITING && transfer->again_ms > now_ms && transfer->again_ms < wake_ms)
            wake_ms = transfer->again_ms;
        next_ms = wake_ms < next_ms ? wake_ms : next_ms;
    }
    return next_ms;
}

/* Whether an attempt ended: then it is time to tend again. */
static bool read_results(struct transport *transport)
{
    CURLMsg *message;
    int left;
    bool any = false;
    while ((message = curl_multi_info_read(transport->multi, &left))) {
        char *transfer = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        attempt_ended(transport, (struct transfer *)(void *)transfer, code);
        any = true;
    }
    return any;
}

/* Answers what is done; whether there was anything. Callbacks may start new requests. */
static bool answer_done(struct transport *transport)
{
    bool any = false;
    struct transfer **link = &transport->transfers;
    while (*link) {
        struct transfer *transfer = *link;
        if (transfer->state != STATE_DONE) {
            link = &transfer->next;
            continue;
        }
        *link = transfer->next;
        transfer->done(transfer->user, &transfer->answer);
        free_transfer(transport, transfer);
        any = true;
        link = &transport->transfers; /* the callback may have put one in front */
    }
    return any;
}

/* True when a watched descriptor is readable. */
static bool wait_for_something(struct transport *transport, int timeout_ms)
{
    struct curl_waitfd extra[TRANSPORT_WATCHED_MOST] = {0};
    bool readable = false;
    for (unsigned int i = 0; i < transport->watched_count; i++)
        extra[i] = (struct curl_waitfd){.fd = transport->watched[i], .events = CURL_WAIT_POLLIN};
    curl_multi_poll(transport->multi, extra, transport->watched_count, timeout_ms, NULL);
    for (unsigned int i = 0; i < transport->watched_count; i++)
        readable = readable || extra[i].revents;
    return readable;
}

void transport_run(struct transport *transport, int timeout_ms)
{
    int64_t end_ms =
        timeout_ms < 0 ? INT64_MAX : milliseconds(CLOCK_MONOTONIC) + timeout_ms;
    for (;;) {
        int running;
        int64_t next_ms = tend(transport);
        curl_multi_perform(transport->multi, &running);
        bool ended = read_results(transport);
        if (answer_done(transport) || atomic_exchange(&transport->woken, false))
            return;
        if (ended)
            continue;
        int64_t left_ms = (next_ms < end_ms ? next_ms : end_ms) - milliseconds(CLOCK_MONOTONIC);
        left_ms = left_ms < 0 ? 0 : left_ms > 3600 * 1000 ? 3600 * 1000 : left_ms;
        if (wait_for_something(transport, (int)left_ms) || atomic_exchange(&transport->woken, false) ||
            milliseconds(CLOCK_MONOTONIC) >= end_ms)
            return;
    }
}

void transport_watch(struct transport *transport, int descriptor)
{
    if (transport->watched_count < TRANSPORT_WATCHED_MOST)
        transport->watched[transport->watched_count++] = descriptor;
}

void transport_wake_up(struct transport *transport)
{
    atomic_store(&transport->woken, true);
    curl_multi_wakeup(transport->multi);
}

const char *transport_host(const struct transport *transport)
{
    return transport->endpoint.host;
}
