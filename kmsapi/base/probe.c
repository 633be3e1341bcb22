#include "kmsapi/base/probe.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "kmsapi/base/endpoint.h"
#include "kmsapi/base/libcurl.h"
#include "kmsapi/base/proxy.h"
#include "kmsapi/base/resolve.h"
#include "kmsapi/cleanup.h"

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void fail(struct probe *probe, enum probe_step step, const char *reason)
{
    probe->failed = step;
    snprintf(probe->reason, sizeof(probe->reason), "%s", reason);
}

/* -- the name ------------------------------------------------------------------------------ */

static void wake_up(void *user)
{
    (void)eventfd_write(*(const int *)user, 1);
}

/* As libcurl has it, IPv6 in brackets. */
static bool is_literal(const char *host, const char *addresses)
{
    size_t length = strlen(host);
    return strcmp(host, addresses) == 0 ||
           (addresses[0] == '[' && strncmp(host, addresses + 1, length) == 0 && strcmp(addresses + 1 + length, "]") == 0);
}

/* Waits as long as there is time; *ADDRESSES is malloc'ed. */
static bool look_up(struct probe *probe, int64_t until_ms, char **addresses)
{
    static const char *const late = "no nameserver answered in time";
    const char *reason = late;
    int woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct resolver *resolver = woken < 0 ? NULL : resolver_new(wake_up, &woken);
    enum resolve_state state = RESOLVE_FAILED;
    if (!resolver)
        reason = "memory is short";
    while (resolver) {
        state = resolver_look_up(resolver, probe->host, addresses, &reason);
        int64_t left_ms = until_ms - now_ms();
        if (state != RESOLVE_PENDING || left_ms <= 0)
            break;
        struct pollfd polled = {.fd = woken, .events = POLLIN};
        eventfd_t count;
        (void)poll(&polled, 1, (int)left_ms);
        (void)eventfd_read(woken, &count);
    }
    if (resolver)
        resolver_free(resolver);
    if (woken >= 0)
        close(woken);
    if (state == RESOLVE_FOUND)
        snprintf(probe->addresses, sizeof(probe->addresses), "%s", *addresses);
    else
        fail(probe, PROBE_NAME, state == RESOLVE_PENDING ? late : reason);
    return state == RESOLVE_FOUND;
}

/* -- the connection ------------------------------------------------------------------------ */

static void take_line(const char *line, const char *name, char *to, size_t size)
{
    size_t length = strlen(name);
    if (strncmp(line, name, length) == 0)
        snprintf(to, size, "%s", line + length);
}

static void take_certificate(struct probe *probe, CURL *easy)
{
    const struct curl_certinfo *certificates = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &certificates) != CURLE_OK || !certificates ||
        certificates->num_of_certs < 1)
        return;
    for (const struct curl_slist *line = certificates->certinfo[0]; line; line = line->next) {
        take_line(line->data, "Issuer:", probe->issuer, sizeof(probe->issuer));
        take_line(line->data, "Expire date:", probe->ends, sizeof(probe->ends));
    }
}

/* Through a proxy CONNECT_TIME is no help. */
static bool is_about_tls(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_ISSUER_ERROR ||
           code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CIPHER || code == CURLE_SSL_CERTPROBLEM;
}

static void take_failure(struct probe *probe, CURL *easy, CURLcode code, const char *detail)
{
    curl_off_t connected = 0;
    long answer = 0;
    char refused[64];
    curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &answer);
    if (probe->proxy[0] && answer != 0 && answer / 100 != 2) {
        snprintf(refused, sizeof(refused), "the proxy answered %ld", answer);
        fail(probe, PROBE_CONNECTION, refused);
    } else {
        fail(probe, is_about_tls(code) || (connected && probe->tls) ? PROBE_TLS : PROBE_CONNECTION,
             detail[0] ? detail : curl_easy_strerror(code));
    }
}

static int set_options(CURL *easy, const struct probe_options *options, const struct endpoint *endpoint,
                       const char *proxy, const struct curl_slist *resolve, char *detail, int64_t left_ms)
{
    char url[300];
    int r = 0;
    snprintf(url, sizeof(url), "%s://%s/", endpoint->tls ? "https" : "http", endpoint->authority);
#define SET(option, value) r |= curl_easy_setopt(easy, option, value) != CURLE_OK
    SET(CURLOPT_URL, url);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECT_ONLY, 1L);
    r |= libcurl_set_protocols(easy, !endpoint->tls, endpoint->tls) != CURLE_OK;
    SET(CURLOPT_PROXY, proxy ? proxy : "");
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CERTINFO, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)(left_ms > 1 ? left_ms : 1));
    SET(CURLOPT_RESOLVE, resolve);
    SET(CURLOPT_ERRORBUFFER, detail);
    if (options->ca_file)
        SET(CURLOPT_CAINFO, options->ca_file);
#undef SET
    return r ? -ENOMEM : 0;
}

static void connect_to(struct probe *probe, const struct probe_options *options, const struct endpoint *endpoint,
                       const char *proxy, unsigned int port, const char *addresses, int64_t until_ms)
{
    char detail[CURL_ERROR_SIZE] = "";
    const char *peer = NULL;
    _cleanup_(free) char *line = NULL;
    if (asprintf(&line, "%s:%u:%s", probe->host, port, addresses) < 0)
        line = NULL;
    struct curl_slist *resolve = line && !probe->literal ? curl_slist_append(NULL, line) : NULL;
    CURL *easy = curl_easy_init();
    if (!line || (!probe->literal && !resolve) || !easy ||
        set_options(easy, options, endpoint, proxy, resolve, detail, until_ms - now_ms()) < 0) {
        fail(probe, PROBE_CONNECTION, "memory is short");
    } else {
        CURLcode code = curl_easy_perform(easy);
        if (curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &peer) == CURLE_OK && peer)
            snprintf(probe->peer, sizeof(probe->peer), "%s", peer);
        if (code == CURLE_OK)
            take_certificate(probe, easy);
        else
            take_failure(probe, easy, code, detail);
    }
    curl_easy_cleanup(easy);
    curl_slist_free_all(resolve);
}

void probe_run(const struct probe_options *options, struct probe *probe)
{
    struct endpoint endpoint;
    struct proxy through = {0};
    int64_t until_ms = now_ms() + options->timeout_ms;
    *probe = (struct probe){.failed = PROBE_ALL};
    if (endpoint_parse(options->endpoint, &endpoint, probe->reason, sizeof(probe->reason)) < 0) {
        probe->failed = PROBE_ENDPOINT;
        return;
    }
    const char *proxy = proxy_for(options->proxy, &endpoint);
    if (proxy && proxy_parse(proxy, &through) < 0) {
        fail(probe, PROBE_ENDPOINT, "the proxy is not a URL; right is http://HOST:PORT");
        return;
    }
    probe->tls = endpoint.tls;
    memcpy(probe->host, proxy ? through.host : endpoint.host, sizeof(probe->host));
    if (proxy)
        snprintf(probe->proxy, sizeof(probe->proxy), "%s:%u", through.host, through.port);
    _cleanup_(free) char *addresses = NULL;
    if (!look_up(probe, until_ms, &addresses))
        return;
    probe->literal = is_literal(probe->host, addresses);
    connect_to(probe, options, &endpoint, proxy, proxy ? through.port : endpoint.port, addresses, until_ms);
}
