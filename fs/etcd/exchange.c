#include "fs/etcd/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/engine/kms_clock.h"
#include "kmsapi/base/libcurl.h"
#include "kmsapi/cleanup.h"

enum { EVENTS_AT_ONCE = 32, FIRST_ROOM = 4096, HEADERS_MOST = 64 * 1024, IDLE_S = 15, PROBE_S = 5 };

struct exchanges {
    struct exchange_files files; /* the owner's texts */
    CURLM *multi;
    int poll, wake;   /* epoll; an eventfd in it */
    int64_t timer_ms; /* when curl wants to be called, CLOCK_MONOTONIC */
};

/* -- the multi handle ------------------------------------------------------------------------- */

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *unused)
{
    const struct exchanges *exchanges = user;
    struct epoll_event event = {.data.fd = socket};
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(exchanges->poll, EPOLL_CTL_DEL, socket, NULL); /* one that is closed has left by itself */
        return 0;
    }
    if (epoll_ctl(exchanges->poll, EPOLL_CTL_MOD, socket, &event) < 0 &&
        epoll_ctl(exchanges->poll, EPOLL_CTL_ADD, socket, &event) < 0)
        return -1;
    return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct exchanges *exchanges = user;
    exchanges->timer_ms = timeout_ms < 0 ? INT64_MAX : clock_monotonic_ms() + timeout_ms;
    return 0;
}

struct exchanges *exchanges_new(const struct exchange_files *files)
{
    struct exchanges *exchanges = calloc(1, sizeof(*exchanges));
    if (!exchanges)
        return NULL;
    exchanges->files = *files;
    exchanges->timer_ms = INT64_MAX;
    exchanges->poll = epoll_create1(EPOLL_CLOEXEC);
    exchanges->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    exchanges->multi = curl_multi_init();
    struct epoll_event event = {.events = EPOLLIN, .data.fd = exchanges->wake};
    if (exchanges->multi && exchanges->poll >= 0 && exchanges->wake >= 0 &&
        epoll_ctl(exchanges->poll, EPOLL_CTL_ADD, exchanges->wake, &event) == 0 &&
        curl_multi_setopt(exchanges->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
        curl_multi_setopt(exchanges->multi, CURLMOPT_SOCKETDATA, exchanges) == CURLM_OK &&
        curl_multi_setopt(exchanges->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
        curl_multi_setopt(exchanges->multi, CURLMOPT_TIMERDATA, exchanges) == CURLM_OK)
        return exchanges;
    exchanges_free(exchanges);
    return NULL;
}

void exchanges_free(struct exchanges *exchanges)
{
    if (!exchanges)
        return;
    curl_multi_cleanup(exchanges->multi);
    if (exchanges->poll >= 0)
        close(exchanges->poll);
    if (exchanges->wake >= 0)
        close(exchanges->wake);
    free(exchanges);
}

int exchanges_descriptor(const struct exchanges *exchanges)
{
    return exchanges->poll;
}

void exchanges_wake_up(struct exchanges *exchanges)
{
    const uint64_t one = 1;
    if (write(exchanges->wake, &one, sizeof(one)) < 0)
        return; /* it is readable as it is */
}

static void forget_wake_up(const struct exchanges *exchanges)
{
    uint64_t count;
    if (read(exchanges->wake, &count, sizeof(count)) < 0)
        return; /* somebody was faster */
}

static void act(struct exchanges *exchanges, const struct epoll_event *event)
{
    int running, what = 0;
    what |= event->events & EPOLLIN ? CURL_CSELECT_IN : 0;
    what |= event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
    what |= event->events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
    curl_multi_socket_action(exchanges->multi, event->data.fd, what, &running);
}

static void note_ends(struct exchanges *exchanges)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(exchanges->multi, &left))) {
        char *private = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct exchange *exchange = (struct exchange *)(void *)private;
        exchange->ended = true;
        exchange->code = code;
    }
}

void exchanges_tend(struct exchanges *exchanges)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int running, count = epoll_wait(exchanges->poll, events, EVENTS_AT_ONCE, 0);
    for (int i = 0; i < count; i++)
        if (events[i].data.fd == exchanges->wake)
            forget_wake_up(exchanges);
        else
            act(exchanges, &events[i]);
    if (exchanges->timer_ms <= clock_monotonic_ms()) {
        exchanges->timer_ms = INT64_MAX;
        curl_multi_socket_action(exchanges->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    note_ends(exchanges);
}

int64_t exchanges_next_ms(const struct exchanges *exchanges)
{
    return exchanges->timer_ms;
}

/* -- one of them ------------------------------------------------------------------------------ */

static void forget_taken(struct exchange *exchange)
{
    if (exchange->taken == 0)
        return;
    exchange->size -= exchange->taken;
    exchange->looked -= exchange->taken;
    memmove(exchange->body, exchange->body + exchange->taken, exchange->size + 1);
    exchange->taken = 0;
}

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    struct exchange *exchange = user;
    size *= count;
    forget_taken(exchange);
    if (size > exchange->limit - exchange->size) {
        exchange->too_large = true;
        return 0;
    }
    if (exchange->size + size + 1 > exchange->room) {
        size_t room = exchange->room ? exchange->room : FIRST_ROOM;
        while (room < exchange->size + size + 1)
            room *= 2;
        char *grown = OPENSSL_clear_realloc(exchange->body, exchange->room, room);
        if (!grown)
            return 0;
        exchange->body = grown;
        exchange->room = room;
    }
    memcpy(exchange->body + exchange->size, data, size);
    exchange->size += size;
    exchange->body[exchange->size] = '\0';
    return size;
}

/* None is kept; endless ones are no answer. */
static size_t take_header(char *data, size_t size, size_t count, void *user)
{
    struct exchange *exchange = user;
    exchange->headers_size += size * count;
    exchange->too_large = exchange->headers_size > HEADERS_MOST;
    return exchange->too_large ? 0 : size * count;
}

static bool add(struct curl_slist **list, const char *line)
{
    struct curl_slist *grown = curl_slist_append(*list, line);
    if (grown)
        *list = grown;
    return grown;
}

static bool make_headers(struct exchange *exchange, const char *token)
{
    /* with a leader, or not at all: a member that is cut off says so at once, and ends its streams. No "Expect:": no wait */
    bool good = add(&exchange->headers, "Content-Type: application/json") && add(&exchange->headers, "Expect:") &&
                add(&exchange->headers, "Grpc-Metadata-hasleader: true");
    if (!good || !token)
        return good;
    size_t size = strlen(token) + sizeof("Authorization: ");
    char *line = OPENSSL_malloc(size);
    if (!line)
        return false;
    snprintf(line, size, "Authorization: %s", token);
    good = add(&exchange->headers, line);
    OPENSSL_clear_free(line, size);
    return good;
}

/* libcurl refuses a setting only where it is built without it, or memory is short. */
static int set_options(const struct exchanges *exchanges, struct exchange *exchange, const struct exchange_request *request)
{
    const struct exchange_files *files = &exchanges->files;
    CURL *easy = exchange->easy;
    int r = 0;
#define SET(option, value) r |= curl_easy_setopt(easy, option, value) != CURLE_OK
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_PRIVATE, exchange);
    SET(CURLOPT_NOSIGNAL, 1L);
    bool tls = strncmp(request->url, "https:", 6) == 0;
    r |= libcurl_set_protocols(easy, !tls, tls) != CURLE_OK;
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)request->whole_ms);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, (long)IDLE_S);
    SET(CURLOPT_TCP_KEEPINTVL, (long)PROBE_S);
    SET(CURLOPT_USERAGENT, "aapfs/" AAPFS_VERSION);
    SET(CURLOPT_HTTPHEADER, exchange->headers);
    SET(CURLOPT_RESOLVE, exchange->resolve);
    SET(CURLOPT_ERRORBUFFER, exchange->detail);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, exchange);
    SET(CURLOPT_FRESH_CONNECT, request->fresh ? 1L : 0L);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->body));
    SET(CURLOPT_COPYPOSTFIELDS, request->body);
    if (files->ca[0])
        SET(CURLOPT_CAINFO, files->ca);
    if (files->certificate[0]) {
        SET(CURLOPT_SSLCERT, files->certificate);
        SET(CURLOPT_SSLKEY, files->key);
    }
#undef SET
    return r ? -ENOMEM : 0;
}

int exchange_begin(struct exchanges *exchanges, const struct exchange_request *request, struct exchange *exchange)
{
    *exchange = (struct exchange){.easy = curl_easy_init(), .limit = request->limit};
    bool good = exchange->easy && make_headers(exchange, request->token) &&
                (!request->resolve || add(&exchange->resolve, request->resolve)) &&
                set_options(exchanges, exchange, request) == 0 &&
                curl_multi_add_handle(exchanges->multi, exchange->easy) == CURLM_OK;
    if (!good)
        exchange_clear(exchanges, exchange);
    return good ? 0 : -ENOMEM;
}

void exchange_clear(struct exchanges *exchanges, struct exchange *exchange)
{
    if (exchange->easy)
        curl_multi_remove_handle(exchanges->multi, exchange->easy);
    curl_easy_cleanup(exchange->easy);
    curl_slist_free_all(exchange->headers);
    curl_slist_free_all(exchange->resolve);
    OPENSSL_clear_free(exchange->body, exchange->room);
    *exchange = (struct exchange){0};
}

long exchange_status(const struct exchange *exchange)
{
    long status = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

bool exchange_maybe_sent(const struct exchange *exchange)
{
    curl_off_t ready = 0; /* when the connection stood, TLS included; 0: it never did */
    long sent = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
    curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &sent);
    return ready > 0 || sent > 0;
}

const char *exchange_line(struct exchange *exchange, size_t *length)
{
    size_t left = exchange->size - exchange->looked;
    const char *end = left ? memchr(exchange->body + exchange->looked, '\n', left) : NULL;
    exchange->looked = end ? (size_t)(end - exchange->body) : exchange->size;
    *length = exchange->looked - exchange->taken;
    return end ? exchange->body + exchange->taken : NULL;
}

void exchange_took_line(struct exchange *exchange)
{
    exchange->looked++; /* its end */
    exchange->taken = exchange->looked;
}
