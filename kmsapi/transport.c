#include "kmsapi/transport.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kmsapi/transfer.h"

struct transport {
    struct route route;
    char *ca_file, *user_agent, *proxy_url;
    unsigned int round; /* counts the calls of begin_attempts */
    int watched[TRANSPORT_WATCHED_MOST];
    unsigned int watched_count;
    atomic_bool woken;
    struct transfer *transfers;
};

static void name_changed(void *user)
{
    struct transport *transport = user;
    curl_multi_wakeup(transport->route.multi);
}

/* A proxy's URL may carry a password. */
static int choose_proxy(struct transport *transport, char *reason, size_t size)
{
    const char *url = proxy_for(transport->route.options.proxy, &transport->route.endpoint);
    transport->route.options.proxy = NULL;
    if (!url)
        return 0;
    if (proxy_parse(url, &transport->route.proxy) < 0) {
        snprintf(reason, size, "proxy: not a URL of a proxy; right is http://HOST:PORT (see https_proxy in the environment)");
        return -EINVAL;
    }
    transport->route.options.proxy = transport->proxy_url = OPENSSL_strdup(url);
    return transport->proxy_url ? 0 : -ENOMEM;
}

int transport_new(const struct transport_options *options, struct transport **made, char *reason, size_t size)
{
    struct transport *transport = calloc(1, sizeof(*transport));
    int r = -ENOMEM;
    if (transport) {
        transport->route.options = *options;
        r = endpoint_parse(options->endpoint, &transport->route.endpoint, reason, size);
    }
    if (r == 0)
        r = choose_proxy(transport, reason, size);
    if (r == 0) {
        transport->route.multi = curl_multi_init();
        if (transport->route.multi)
            transport->route.resolver = resolver_new(name_changed, transport);
        transport->user_agent = strdup(options->user_agent ? options->user_agent : "aapfs");
        transport->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
        transport->route.options.user_agent = transport->user_agent;
        transport->route.options.ca_file = transport->ca_file;
        if (!transport->route.resolver || !transport->user_agent || (options->ca_file && !transport->ca_file))
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

void transport_free(struct transport *transport)
{
    if (!transport)
        return;
    while (transport->transfers) {
        struct transfer *transfer = transport->transfers;
        transport->transfers = transfer->next;
        if (transfer->request.drop)
            transfer->request.drop(transfer->user);
        transfer_free(&transport->route, transfer);
    }
    resolver_free(transport->route.resolver);
    curl_multi_cleanup(transport->route.multi);
    free(transport->ca_file);
    free(transport->user_agent);
    if (transport->proxy_url)
        OPENSSL_clear_free(transport->proxy_url, strlen(transport->proxy_url));
    free(transport);
}

int transport_start(struct transport *transport, const struct transport_request *request, transport_done *done,
                    void *user)
{
    struct transfer *transfer = transfer_new(request, done, user);
    if (!transfer)
        return -ENOMEM;
    transfer->next = transport->transfers;
    transport->transfers = transfer;
    return 0;
}

/* Whether it could go now if requests could. */
static bool wants_to_go(const struct transfer *transfer, int64_t now_ms)
{
    return transfer->state == TRANSFER_BEGINS || transfer->state == TRANSFER_RESOLVING ||
           transfer->state == TRANSFER_UNSIGNED ||
           (transfer->state == TRANSFER_WAITING && now_ms >= transfer->again_ms);
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
    struct throttle *throttle = &transport->route.throttle;
    if (throttle_is_open(throttle, now_ms)) {
        for (struct transfer *transfer = transport->transfers; transfer; transfer = transfer->next)
            if (wants_to_go(transfer, now_ms))
                transfer_begin(&transport->route, transfer);
        return INT64_MAX;
    }
    struct transfer *first;
    int64_t next_ms = throttle_next_ms(throttle, now_ms);
    transport->round++;
    while ((first = first_to_go(transport, now_ms)) && next_ms <= now_ms) {
        first->round = transport->round; /* it may still wait, for its name or credentials */
        transfer_begin(&transport->route, first);
        next_ms = throttle_next_ms(throttle, now_ms);
    }
    for (struct transfer *transfer = transport->transfers; transfer; transfer = transfer->next)
        transfer->held = transfer->state == TRANSFER_BEGINS;
    return first ? next_ms : INT64_MAX;
}

/* Moves everything on that needs no network; when to look again. */
static int64_t tend(struct transport *transport)
{
    int64_t now_ms = transfer_clock_ms(CLOCK_MONOTONIC);
    int64_t next_ms = begin_attempts(transport, now_ms);
    for (struct transfer *transfer = transport->transfers; transfer; transfer = transfer->next) {
        if (transfer->state != TRANSFER_DONE && now_ms >= transfer->deadline_ms)
            transfer_time_is_up(&transport->route, transfer);
        int64_t wake_ms = transfer->state == TRANSFER_DONE ? now_ms : transfer->deadline_ms;
        if (transfer->state == TRANSFER_WAITING && transfer->again_ms > now_ms && transfer->again_ms < wake_ms)
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
    while ((message = curl_multi_info_read(transport->route.multi, &left))) {
        char *transfer = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        transfer_ended(&transport->route, (struct transfer *)(void *)transfer, code);
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
        if (transfer->state != TRANSFER_DONE) {
            link = &transfer->next;
            continue;
        }
        *link = transfer->next;
        transfer->done(transfer->user, &transfer->answer);
        transfer_free(&transport->route, transfer);
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
    curl_multi_poll(transport->route.multi, extra, transport->watched_count, timeout_ms, NULL);
    for (unsigned int i = 0; i < transport->watched_count; i++)
        readable = readable || extra[i].revents;
    return readable;
}

void transport_run(struct transport *transport, int timeout_ms)
{
    int64_t end_ms = timeout_ms < 0 ? INT64_MAX : transfer_clock_ms(CLOCK_MONOTONIC) + timeout_ms;
    for (;;) {
        int running;
        int64_t next_ms = tend(transport);
        curl_multi_perform(transport->route.multi, &running);
        bool ended = read_results(transport);
        if (answer_done(transport) || atomic_exchange(&transport->woken, false))
            return;
        if (ended)
            continue;
        int64_t left_ms = (next_ms < end_ms ? next_ms : end_ms) - transfer_clock_ms(CLOCK_MONOTONIC);
        left_ms = left_ms < 0 ? 0 : left_ms > 3600 * 1000 ? 3600 * 1000 : left_ms;
        if (wait_for_something(transport, (int)left_ms) || atomic_exchange(&transport->woken, false) ||
            transfer_clock_ms(CLOCK_MONOTONIC) >= end_ms)
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
    curl_multi_wakeup(transport->route.multi);
}
