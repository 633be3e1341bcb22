#include "kmsapi/credentials/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "kmsapi/base/libcurl.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/iso_time.h"

enum { BODY_MOST = 64 * 1024, HEADERS_SIZE_MOST = 64 * 1024 };

DEFINE_CLEANUP(easy, CURL *, curl_easy_cleanup)
DEFINE_CLEANUP(multi, CURLM *, curl_multi_cleanup)
DEFINE_CLEANUP(slist, struct curl_slist *, curl_slist_free_all)
DEFINE_CLEANUP(url, CURLU *, curl_url_cleanup)
DEFINE_CLEANUP(curl_text, char *, curl_free)

struct call {
    struct http_answer *answer;
    size_t headers_size;
    struct answer_headers headers;
    bool too_large;
};

bool http_host_is_local(const char *text)
{
    char host[256], bare[64];
    struct in_addr four;
    struct in6_addr six;
    size_t length = strlen(text);
    length -= length > 0 && text[length - 1] == '.'; /* the same host */
    if (length >= sizeof(host))
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    if (strcasecmp(host, "localhost") == 0 ||
        (length > 10 && strcasecmp(host + length - 10, ".localhost") == 0))
        return true;
    if (inet_pton(AF_INET, host, &four) == 1) {
        uint32_t address = ntohl(four.s_addr);
        return address >> 24 == 127 || address >> 16 == (169U << 8 | 254) ||
               address == (100U << 24 | 100U << 16 | 100U << 8 | 200U) || address == 0;
    }
    bool brackets = host[0] == '[';
    snprintf(bare, sizeof(bare), "%s", host + brackets);
    bare[strcspn(bare, "]%")] = '\0';
    if (inet_pton(AF_INET6, bare, &six) != 1)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&six)) {
        inet_ntop(AF_INET, &six.s6_addr[12], bare, sizeof(bare));
        return http_host_is_local(bare);
    }
    return IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_LINKLOCAL(&six) ||
           IN6_IS_ADDR_UNSPECIFIED(&six);
}

static bool make_room(struct http_answer *answer)
{
    if (answer->body)
        return true;
    answer->body = OPENSSL_malloc(BODY_MOST + 1);
    if (!answer->body)
        return false;
    answer->room = BODY_MOST + 1;
    answer->body[0] = '\0';
    return true;
}

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    struct call *call = user;
    struct http_answer *answer = call->answer;
    size *= count;
    if (size > BODY_MOST - answer->size) {
        call->too_large = true;
        return 0;
    }
    if (!make_room(answer))
        return 0;
    memcpy(answer->body + answer->size, data, size);
    answer->size += size;
    answer->body[answer->size] = '\0';
    return size;
}

/* Endless ones are no answer. */
static size_t take_header(char *data, size_t size, size_t count, void *user)
{
    struct call *call = user;
    answer_headers_take(&call->headers, data, size * count);
    call->headers_size += size * count;
    call->too_large = call->headers_size > HEADERS_SIZE_MOST;
    return call->too_large ? 0 : size * count;
}

/* HOST is from curl_free's allocator. SECRET: whoever stands between reads neither the URL nor the answer. */
static int check_url(const char *text, char **host, bool *secret, char *reason, size_t size)
{
    _cleanup_(url) CURLU *url = curl_url();
    _cleanup_(curl_text) char *scheme = NULL, *user = NULL, *password = NULL;
    bool good = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
                curl_url_get(url, CURLUPART_HOST, host, 0) == CURLUE_OK;
    if (!good) {
        snprintf(reason, size, "not a URL; right is http://HOST/PATH or https://HOST/PATH");
        return -EINVAL;
    }
    if (curl_url_get(url, CURLUPART_USER, &user, 0) != CURLUE_NO_USER ||
        curl_url_get(url, CURLUPART_PASSWORD, &password, 0) != CURLUE_NO_PASSWORD) {
        snprintf(reason, size, "a user name or password has no place in the URL");
        return -EINVAL;
    }
    *secret = strcmp(scheme, "https") == 0;
    return 0;
}

static int set_options(CURL *easy, struct call *call,
                       const struct credentials_source_options *options,
                       const struct http_request *request, bool proxied,
                       struct curl_slist *headers)
{
    int r = 0;
#define SET(option, value) r |= curl_easy_setopt(easy, option, value) != CURLE_OK
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_NOSIGNAL, 1L);
    r |= libcurl_set_protocols(easy, true, true) != CURLE_OK;
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)request->whole_ms);
    SET(CURLOPT_USERAGENT, options->user_agent);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, call);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, call);
    r |= libcurl_set_quick_exit(easy) != CURLE_OK;
    if (!proxied)
        SET(CURLOPT_PROXY, "");
    else if (options->proxy)
        SET(CURLOPT_PROXY, options->proxy);
    if (options->ca_file)
        SET(CURLOPT_CAINFO, options->ca_file);
    SET(CURLOPT_CUSTOMREQUEST, request->method);
    if (request->body || strcmp(request->method, "GET") != 0) {
        const char *body = request->body ? request->body : "";
        SET(CURLOPT_POSTFIELDS, body);
        SET(CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    }
#undef SET
    return r ? -ENOMEM : 0;
}

static int add_headers(const struct http_request *request, struct curl_slist **headers)
{
    size_t most = sizeof(request->headers) / sizeof(request->headers[0]);
    for (size_t i = 0; i < most && request->headers[i]; i++) {
        struct curl_slist *grown = curl_slist_append(*headers, request->headers[i]);
        if (!grown)
            return -ENOMEM;
        *headers = grown;
    }
    return 0;
}

static int explain(CURLcode code, bool connected, const char *host, bool too_large, char *reason, size_t size)
{
    if (code == CURLE_OUT_OF_MEMORY) {
        snprintf(reason, size, "memory is short");
        return -ENOMEM;
    }
    snprintf(reason, size, "%.120s: %s", host,
             too_large                         ? "an answer larger than any good one"
             : code == CURLE_OPERATION_TIMEDOUT ? "no answer in time"
             : code == CURLE_PARTIAL_FILE       ? "the answer broke off"
                                                : curl_easy_strerror(code));
    return !connected ? -EHOSTUNREACH : code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EIO;
}

static bool is_of_the_network(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR: /* cut off in the middle, too */
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return true;
    default:
        return false;
    }
}

/* No year that nobody writes. */
static int64_t good_date(int64_t date)
{
    char text[ISO_TIME_SIZE];
    return iso_time_format(date, text) == 0 ? date : 0;
}

/* curl_easy_perform, which ends as well when it is given up. */
static CURLcode perform(CURL *easy, const struct fetching *fetching)
{
    _cleanup_(multi) CURLM *multi = curl_multi_init();
    struct curl_waitfd given_up = {.fd = fetching->given_up, .events = CURL_WAIT_POLLIN};
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    int running = 1, left;
    if (!multi || curl_multi_add_handle(multi, easy) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    while (running && !given_up.revents) {
        if (curl_multi_perform(multi, &running) != CURLM_OK ||
            (running && curl_multi_poll(multi, &given_up, given_up.fd >= 0, 60000, NULL) != CURLM_OK))
            break;
    }
    const CURLMsg *message = running ? NULL : curl_multi_info_read(multi, &left);
    if (message)
        code = message->data.result;
    curl_multi_remove_handle(multi, easy);
    return code;
}

int http_ask(const struct fetching *fetching, const struct http_request *request,
             struct http_answer *answer, char *reason, size_t size)
{
    struct call call = {.answer = answer};
    struct http_request limited = *request;
    _cleanup_(curl_text) char *host = NULL;
    *answer = (struct http_answer){0};
    bool secret = false;
    int r = check_url(request->url, &host, &secret, reason, size);
    if (r < 0)
        return r;
    if (fetching->options->timeout_ms)
        limited.connect_ms = limited.whole_ms = fetching->options->timeout_ms;
    _cleanup_(slist) struct curl_slist *headers = NULL;
    _cleanup_(easy) CURL *easy = curl_easy_init();
    r = easy ? add_headers(request, &headers) : -ENOMEM;
    if (r == 0)
        r = set_options(easy, &call, fetching->options, &limited, secret && !http_host_is_local(host),
                        headers);
    if (r < 0) {
        snprintf(reason, size, "memory is short");
        return r;
    }
    CURLcode code = perform(easy, fetching);
    if (code == CURLE_OK && !make_room(answer))
        code = CURLE_OUT_OF_MEMORY;
    if (code != CURLE_OK) {
        http_answer_clear(answer);
        answer->passing = is_of_the_network(code);
        curl_off_t connected_us = 0;
        curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected_us);
        return explain(code, connected_us > 0, host, call.too_large, reason, size);
    }
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer->status);
    answer->passing = answer->status >= 500 || answer->status == 429;
    answer->server_date = good_date(call.headers.date);
    return 0;
}

static int ask_for_success(const struct fetching *fetching, const struct http_request *request,
                           struct http_answer *answer, char *reason, size_t size)
{
    int r = http_ask(fetching, request, answer, reason, size);
    if (r < 0 || answer->status == 200)
        return r;
    long status = answer->status;
    bool passing = answer->passing;
    snprintf(reason, size, "answered with status %ld", status);
    http_answer_clear(answer);
    answer->status = status;
    answer->passing = passing;
    return -EIO;
}

int http_ask_for_success(const struct fetching *fetching, const struct http_request *request,
                         struct http_answer *answer, char *reason, size_t size)
{
    struct again again = again_begin();
    int r;
    do
        r = ask_for_success(fetching, request, answer, reason, size);
    while (r < 0 && answer->passing && !(request->maybe_nobody && (r == -EHOSTUNREACH || r == -ETIMEDOUT)) &&
           again_after_pause(&again, fetching));
    return r;
}

void http_answer_clear(struct http_answer *answer)
{
    OPENSSL_clear_free(answer->body, answer->room);
    *answer = (struct http_answer){0};
}
