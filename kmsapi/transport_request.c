#include "kmsapi/transport_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "kmsapi/iso_time.h"
#include "kmsapi/openssl_cleanup.h"

enum { CONNECT_TIMEOUT_MS = 10000, HEADERS_MOST = 8, FIRST_ROOM = 4096 };

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    struct attempt *attempt = user;
    size *= count;
    if (size > attempt->limit - attempt->size) {
        attempt->too_large = true;
        return 0;
    }
    if (attempt->size + size + 1 > attempt->room) {
        size_t room = attempt->room ? attempt->room : FIRST_ROOM;
        while (room < attempt->size + size + 1)
            room *= 2;
        char *grown = OPENSSL_clear_realloc(attempt->body, attempt->room, room);
        if (!grown)
            return 0;
        attempt->body = grown;
        attempt->room = room;
    }
    memcpy(attempt->body + attempt->size, data, size);
    attempt->size += size;
    attempt->body[attempt->size] = '\0';
    return size;
}

static size_t take_header(char *line, size_t size, size_t count, void *user)
{
    struct attempt *attempt = user;
    answer_headers_take(&attempt->answered, line, size * count);
    return size * count;
}

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
    _cleanup_(free) char *line = NULL;
    /* "name:" alone tells libcurl to leave out a header of its own */
    if (asprintf(&line, "%s:%s%s", name, value[0] ? " " : "", value) < 0) {
        line = NULL;
        return -ENOMEM;
    }
    struct curl_slist *grown = curl_slist_append(*list, line);
    if (!grown)
        return -ENOMEM;
    *list = grown;
    return 0;
}

static int make_nonce(char nonce[static 33])
{
    unsigned char random[16];
    if (RAND_bytes(random, sizeof(random)) != 1)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(nonce + 2 * i, 3, "%02x", random[i]);
    return 0;
}

/* The headers with their signature. */
static int sign(struct attempt *attempt, const struct endpoint *endpoint,
                const struct transport_request *request, const struct credentials *credentials,
                int64_t now)
{
    char date[ISO_TIME_SIZE], nonce[33], empty[65];
    if (iso_time_format(now, date) < 0 || make_nonce(nonce) < 0 ||
        acs3_sha256_hex("", 0, empty) < 0)
        return -ENOMEM;

    struct acs3_pair headers[HEADERS_MOST] = {
        {"host", endpoint->authority},
        {"x-acs-action", request->operation},
        {"x-acs-version", request->version},
        {"x-acs-date", date},
        {"x-acs-signature-nonce", nonce},
        {"x-acs-content-sha256", empty},
    };
    size_t count = 6;
    if (credentials->security_token) {
        headers[count++] = (struct acs3_pair){"x-acs-accesskey-id", credentials->access_key_id};
        headers[count++] =
            (struct acs3_pair){"x-acs-security-token", credentials->security_token};
    }
    const struct acs3_request to_sign = {
        .method = request->method,
        .path = "/",
        .query = request->query,
        .query_count = request->query_count,
        .headers = headers,
        .header_count = count,
    };
    struct acs3_signature signature = {0};
    int r = acs3_sign(&to_sign, credentials->access_key_secret, &signature);
    _cleanup_(free) char *authorization =
        r == 0 ? acs3_authorization(&signature, credentials->access_key_id) : NULL;
    acs3_signature_clear(&signature);
    if (!authorization)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = add_header(&attempt->headers, headers[i].name, headers[i].value);
    if (r == 0)
        r = add_header(&attempt->headers, "authorization", authorization);
    if (r == 0)
        r = add_header(&attempt->headers, "accept", "application/json");
    /* libcurl's own for a POST: the body is empty, and a content type would have to be signed */
    if (r == 0)
        r = add_header(&attempt->headers, "content-type", "");
    return r;
}

static int set_url(struct attempt *attempt, const struct endpoint *endpoint,
                   const struct transport_request *request)
{
    _cleanup_(secret_string) char *query =
        acs3_canonical_query(request->query, request->query_count);
    if (!query)
        return -ENOMEM;
    size_t size = strlen(query) + sizeof(endpoint->authority) + 16;
    char *url = OPENSSL_malloc(size);
    if (!url)
        return -ENOMEM;
    snprintf(url, size, "%s://%s/%s%s", endpoint->tls ? "https" : "http", endpoint->authority,
             query[0] ? "?" : "", query);
    CURLcode code = curl_easy_setopt(attempt->easy, CURLOPT_URL, url);
    OPENSSL_clear_free(url, size);
    return code == CURLE_OK ? 0 : -ENOMEM;
}

static int set_addresses(struct attempt *attempt, const struct endpoint *endpoint,
                         const struct proxy *proxy, const char *addresses)
{
    _cleanup_(free) char *line = NULL;
    attempt->through_proxy = proxy->host[0] != '\0';
    const char *host = attempt->through_proxy ? proxy->host : endpoint->host;
    if (attempt->through_proxy ? strchr(host, ':') != NULL : endpoint->literal)
        return 0;
    if (asprintf(&line, "%s:%u:%s", host, attempt->through_proxy ? proxy->port : endpoint->port, addresses) < 0) {
        line = NULL;
        return -ENOMEM;
    }
    attempt->resolve = curl_slist_append(NULL, line);
    return attempt->resolve ? 0 : -ENOMEM;
}

/* libcurl refuses a setting only where it is built without it, or memory is short. */
static int set_options(struct attempt *attempt, const struct transport_options *options,
                       const struct endpoint *endpoint, const struct transport_request *request)
{
    CURL *easy = attempt->easy;
    bool fresh = request->kind != TRANSPORT_READ;
    int r = 0;
#define SET(option, value) r |= curl_easy_setopt(easy, option, value) != CURLE_OK
    SET(CURLOPT_NOSIGNAL, 1L);
    r |= libcurl_set_protocols(easy, !endpoint->tls, endpoint->tls) != CURLE_OK;
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, options->proxy ? options->proxy : "");
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    SET(CURLOPT_USERAGENT, options->user_agent);
    SET(CURLOPT_HTTPHEADER, attempt->headers);
    SET(CURLOPT_RESOLVE, attempt->resolve);
    SET(CURLOPT_ERRORBUFFER, attempt->detail);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, attempt);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, attempt);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's own */
    /* on a reused connection that closes before an answer libcurl sends the request again */
    SET(CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, fresh ? 1L : 0L);
    if (options->ca_file)
        SET(CURLOPT_CAINFO, options->ca_file);
    if (strcmp(request->method, "POST") == 0) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDS, "");
        SET(CURLOPT_POSTFIELDSIZE, 0L);
    }
#undef SET
    return r ? -ENOMEM : 0;
}

int attempt_make(struct attempt *attempt, const struct transport_options *options,
                 const struct endpoint *endpoint, const struct proxy *proxy,
                 const struct transport_request *request,
                 const struct credentials *credentials, const char *addresses,
                 int64_t now)
{
    *attempt = (struct attempt){.easy = curl_easy_init()};
    attempt->limit = options->response_limit ? options->response_limit : (size_t)1 << 20;
    int r = attempt->easy ? 0 : -ENOMEM;
    if (r == 0)
        r = sign(attempt, endpoint, request, credentials, now);
    if (r == 0)
        r = set_url(attempt, endpoint, request);
    if (r == 0)
        r = set_addresses(attempt, endpoint, proxy, addresses);
    if (r == 0)
        r = set_options(attempt, options, endpoint, request);
    if (r < 0)
        attempt_clear(attempt);
    return r;
}

void attempt_clear(struct attempt *attempt)
{
    curl_easy_cleanup(attempt->easy);
    curl_slist_free_all(attempt->headers);
    curl_slist_free_all(attempt->resolve);
    OPENSSL_clear_free(attempt->body, attempt->room);
    *attempt = (struct attempt){0};
}

bool attempt_maybe_sent(const struct attempt *attempt)
{
    curl_off_t ready = 0; /* when the connection stood, TLS included; 0: it never did */
    long sent = 0;
    curl_easy_getinfo(attempt->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
    if (!attempt->through_proxy) /* there it counts the words to the proxy as well */
        curl_easy_getinfo(attempt->easy, CURLINFO_REQUEST_SIZE, &sent);
    return ready > 0 || sent > 0;
}
