#include "kmsapi/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kmsapi/cleanup.h"
#include "kmsapi/repeat.h"
#include "kmsapi/transport_error.h"

int64_t transfer_clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
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
    size_t size = strlen(request->method) + strlen(request->operation) + strlen(request->version) + 3 +
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

static void free_with_texts(struct transfer *transfer)
{
    OPENSSL_clear_free(transfer->texts, transfer->texts_size);
    free(transfer->query);
    free(transfer);
}

struct transfer *transfer_new(const struct transport_request *request, transport_done *done, void *user)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return NULL;
    if (copy_request(transfer, request) < 0) {
        free_with_texts(transfer);
        return NULL;
    }
    transfer->done = done;
    transfer->user = user;
    transfer->deadline_ms = transfer_clock_ms(CLOCK_MONOTONIC) + request->timeout_ms;
    snprintf(transfer->answer.error.operation, sizeof(transfer->answer.error.operation), "%s", request->operation);
    return transfer;
}

void transfer_free(struct route *route, struct transfer *transfer)
{
    if (transfer->attempt.easy)
        curl_multi_remove_handle(route->multi, transfer->attempt.easy);
    attempt_clear(&transfer->attempt);
    free_with_texts(transfer);
}

static void fail(struct transfer *transfer, int number, const char *code, const char *message)
{
    transport_error_set(&transfer->answer.error, number, code, message);
    transfer->state = TRANSFER_DONE;
}

/* Negative: the request waits, or is done. */
static int get_credentials(const struct route *route, struct transfer *transfer, struct credentials *credentials,
                           char *reason, size_t size)
{
    const struct transport_options *options = &route->options;
    int r = options->get_credentials(options->get_credentials_user, credentials, reason, size);
    if (r == 0 && transfer->refused && credentials->serial == transfer->signed_by) {
        credentials_clear(credentials);
        transfer->answer.error = transfer->earlier; /* the same ones again */
        transfer->state = TRANSFER_DONE;
        return -EACCES;
    }
    if (r == -EAGAIN)
        transfer->state = TRANSFER_UNSIGNED;
    else if (r < 0)
        fail(transfer, r == -ENOMEM ? ENOMEM : EACCES, "Credentials", reason);
    else
        transfer->signed_by = credentials->serial;
    return r;
}

void transfer_begin(struct route *route, struct transfer *transfer)
{
    struct credentials credentials = {0};
    _cleanup_(free) char *addresses = NULL;
    const char *why;
    char reason[512] = "";

    const char *host = route->proxy.host[0] ? route->proxy.host : route->endpoint.host;
    switch (resolver_look_up(route->resolver, host, &addresses, &why)) {
    case RESOLVE_PENDING:
        transfer->state = TRANSFER_RESOLVING;
        return;
    case RESOLVE_FAILED:
        snprintf(reason, sizeof(reason), "%.253s does not resolve: %.128s", host, why);
        fail(transfer, EHOSTUNREACH, "Network.NameNotResolved", reason);
        return;
    case RESOLVE_FOUND:
        break;
    }
    int r = get_credentials(route, transfer, &credentials, reason, sizeof(reason));
    if (r < 0)
        return;
    const struct kms_error clean = {0};
    char operation[sizeof(clean.operation)];
    memcpy(operation, transfer->answer.error.operation, sizeof(operation));
    transfer->answer.error = clean;
    memcpy(transfer->answer.error.operation, operation, sizeof(operation));
    transfer->signed_offset_s = route->clock_offset_s;
    r = attempt_make(&transfer->attempt, &route->options, &route->endpoint, &route->proxy, &transfer->request,
                     &credentials, addresses, time(NULL) + transfer->signed_offset_s);
    credentials_clear(&credentials);
    if (r == 0)
        curl_easy_setopt(transfer->attempt.easy, CURLOPT_PRIVATE, transfer);
    /* on a connection that closes once more libcurl would send the same nonce again, and KMS's answer would hide why */
    if (r == 0 && transfer->answer.attempts > 0)
        curl_easy_setopt(transfer->attempt.easy, CURLOPT_FRESH_CONNECT, 1L);
    if (r < 0 || curl_multi_add_handle(route->multi, transfer->attempt.easy) != CURLM_OK) {
        fail(transfer, ENOMEM, "Memory", "memory is short");
        return;
    }
    transfer->answer.attempts++;
    transfer->begun_ms = transfer_clock_ms(CLOCK_MONOTONIC);
    throttle_take(&route->throttle, transfer->begun_ms);
    transfer->answer.sent_at_ms = transfer_clock_ms(CLOCK_REALTIME);
    transfer->held = false;
    transfer->state = TRANSFER_RUNNING;
}

/* What the answer says of the rate of requests. */
static void heed(struct route *route, const struct transfer *transfer)
{
    const struct kms_error *error = &transfer->answer.error;
    if (error->number && kms_error_retry(error) == KMS_RETRY_THROTTLED)
        throttle_refused(&route->throttle, transfer->begun_ms, repeat_asked_ms(transfer),
                         transfer_clock_ms(CLOCK_MONOTONIC));
    else
        throttle_answered(&route->throttle);
}

void transfer_ended(struct route *route, struct transfer *transfer, CURLcode code)
{
    struct attempt *attempt = &transfer->attempt;
    struct transport_answer *answer = &transfer->answer;
    bool writes = transfer->request.kind != TRANSPORT_READ;
    bool maybe_sent = attempt_maybe_sent(attempt), answered = code == CURLE_OK;
    long status = 0;

    curl_multi_remove_handle(route->multi, attempt->easy);
    answer->received_at_ms = transfer_clock_ms(CLOCK_REALTIME);
    answer->server_date = attempt->answered.date;
    if (answer->server_date)
        route->clock_offset_s = answer->server_date - answer->received_at_ms / 1000;
    answer->time_was_wrong = repeat_learned_the_time(route, transfer);
    curl_easy_getinfo(attempt->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!answered) {
        transport_error_of_curl(&answer->error, attempt->easy, code, attempt->detail, maybe_sent, attempt->too_large);
        answer->error.maybe_done = writes && maybe_sent;
    } else if (status < 200 || status > 299) {
        transport_error_of_answer(&answer->error, status, attempt->body ? attempt->body : "", attempt->size,
                                  transfer->request.password);
        answer->error.maybe_done = writes && kms_error_is_ambiguous(&answer->error);
    } else if (attempt->body && transport_error_of_success(&answer->error, status, attempt->body, attempt->size,
                                                           transfer->request.password)) {
        answer->error.maybe_done = writes;
    }
    if (answered)
        heed(route, transfer);
    if (answer->error.number == 0) {
        answer->error.http_status = status;
        answer->body = attempt->body;
        answer->size = attempt->size;
        transfer->state = TRANSFER_DONE;
        return;
    }
    transfer->again_ms = transfer_clock_ms(CLOCK_MONOTONIC) + repeat_wait_ms(transfer);
    bool repeat = repeat_is_safe(route, transfer, answered, maybe_sent);
    if (!repeat && answered && repeat_signed_anew(route, transfer)) {
        transfer->again_ms = transfer_clock_ms(CLOCK_MONOTONIC);
        repeat = true;
    }
    attempt_clear(attempt);
    transfer->earlier = answer->error;
    /* what cannot be repeated in time is told now, rather than as a timeout */
    transfer->state = repeat && transfer->again_ms < transfer->deadline_ms ? TRANSFER_WAITING : TRANSFER_DONE;
}

/* True: the request may have arrived, and its answer is waited for. */
static bool park(struct transfer *transfer)
{
    if (transfer->parked || !transfer->request.parked || transfer->state != TRANSFER_RUNNING ||
        !attempt_maybe_sent(&transfer->attempt))
        return false;
    transfer->parked = true;
    transfer->deadline_ms += transfer->request.park_ms;
    transfer->request.parked(transfer->user);
    return true;
}

void transfer_time_is_up(struct route *route, struct transfer *transfer)
{
    if (park(transfer))
        return;
    bool running = transfer->state == TRANSFER_RUNNING;
    bool sent = running && attempt_maybe_sent(&transfer->attempt);
    if (running)
        curl_multi_remove_handle(route->multi, transfer->attempt.easy);
    attempt_clear(&transfer->attempt);
    char reason[512] = "";
    struct credentials late = {0};
    if (transfer->state == TRANSFER_UNSIGNED) /* for what it says */
        route->options.get_credentials(route->options.get_credentials_user, &late, reason, sizeof(reason));
    credentials_clear(&late);
    if (!sent && transfer->earlier.number)
        transfer->answer.error = transfer->earlier; /* says more than that time is up */
    else if (transfer->held)
        fail(transfer, EAGAIN, "Client.Throttled",
             "KMS throttles the requests of this account; this one was not sent in time");
    else if (transfer->state == TRANSFER_RESOLVING)
        fail(transfer, EHOSTUNREACH, "Network.NameNotResolved", "no nameserver answered in time");
    else if (transfer->state == TRANSFER_UNSIGNED)
        fail(transfer, EACCES, "Credentials", reason[0] ? reason : "no credentials came in time");
    else
        fail(transfer, ETIMEDOUT, "Network.Timeout",
             sent ? "the request was sent and no answer came in time" : "no connection to KMS in time");
    if (sent)
        transfer->answer.error.maybe_done = transfer->request.kind != TRANSPORT_READ;
    transfer->state = TRANSFER_DONE;
}
