#include "kmsapi/transport_error.h"

#include <errno.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>
#include <openssl/x509_vfy.h>

#include "kmsapi/base/answer_body.h"

void transport_error_set(struct kms_error *error, int number, const char *code,
                         const char *message)
{
    error->number = number;
    kms_error_set_code(error, code, NULL);
    kms_error_set_message(error, message, strlen(message), NULL);
}

static void set_connection_error(struct kms_error *error, CURL *easy)
{
    long number = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    switch (number) {
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL:
        transport_error_set(error, EHOSTUNREACH, "Network.Unreachable", "KMS cannot be reached");
        break;
    case ETIMEDOUT:
        transport_error_set(error, ETIMEDOUT, "Network.Timeout",
                            "no connection to KMS in time");
        break;
    default:
        transport_error_set(error, ECONNREFUSED, "Network.Refused",
                            "the connection to KMS was refused");
        break;
    }
}

/* Whoever has to do something about it is another one for each. */
static void set_certificate_error(struct kms_error *error, CURL *easy, const char *detail)
{
    char message[512];
    long verified = X509_V_OK;
    const char *code = "Tls.Certificate", *what = "is not trusted; see ca_file";
    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    /* the chain is good; libcurl says so, or nothing yet, which is "unspecified" */
    if (verified == X509_V_OK || verified == X509_V_ERR_UNSPECIFIED) {
        code = "Tls.WrongName";
        what = "is for another name; is the endpoint right?";
    } else if (verified == X509_V_ERR_CERT_HAS_EXPIRED || verified == X509_V_ERR_CERT_NOT_YET_VALID) {
        code = "Tls.Expired";
        what = verified == X509_V_ERR_CERT_HAS_EXPIRED ? "has expired; is this machine's clock right?"
                                                       : "is not valid yet; is this machine's clock right?";
    }
    snprintf(message, sizeof(message), "the server's certificate %s: %s", what, detail);
    transport_error_set(error, EPROTO, code, message);
}

long transport_error_proxy_status(CURL *easy)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status >= 200 && status < 300 ? 0 : status;
}

void transport_error_of_curl(struct kms_error *error, CURL *easy, CURLcode code,
                             const char *detail, bool maybe_sent, bool answer_too_large)
{
    char message[512];
    long proxy_status = transport_error_proxy_status(easy);
    if (answer_too_large) {
        transport_error_set(error, EIO, "Answer.TooLarge", "the answer is larger than any of KMS's");
        return;
    }
    if (proxy_status) {
        snprintf(message, sizeof(message), "the proxy answered %ld%s", proxy_status,
                 proxy_status == 407 ? ": it wants a user and a password, which https_proxy can have" : "");
        transport_error_set(error, ECONNREFUSED, "Network.Proxy", message);
        return;
    }
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        transport_error_set(error, ENOMEM, "Memory", "memory is short");
        break;
    case CURLE_COULDNT_CONNECT:
        set_connection_error(error, easy);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        transport_error_set(error, ETIMEDOUT, "Network.Timeout", "no answer in time");
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        set_certificate_error(error, easy, detail);
        break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
        snprintf(message, sizeof(message), "no TLS connection: %s", detail);
        transport_error_set(error, EPROTO, "Tls.Handshake", message);
        break;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
        transport_error_set(error, EIO, "Answer.Malformed", "the answer is not HTTP/1.1");
        break;
    default:
        if (maybe_sent)
            transport_error_set(error, ECONNRESET, "Network.Reset",
                                "the connection broke after the request was sent");
        else
            transport_error_set(error, ECONNREFUSED, "Network.Closed",
                                "the connection broke before the request was sent");
        break;
    }
}

/* -- what KMS and its gateway say -------------------------------------------------------------- */

enum { DEPTH_MOST = 4 };

static const char *text_of(const json_t *object, const char *const names[static 2])
{
    const char *text = answer_body_text(answer_body_member(object, names[0]));
    return text ? text : answer_body_text(answer_body_member(object, names[1]));
}

static const char *const code_names[] = {"Code", "ErrorCode"}, *const id_names[] = {"RequestId", "Request-Id"};

/* VALUE, or the first object in it that has a Code. */
static const json_t *find_coded(const json_t *value, unsigned int depth)
{
    const char *name, *code = text_of(value, code_names);
    const json_t *found = code && code[0] ? value : NULL;
    json_t *inner;
    if (found || depth == DEPTH_MOST)
        return found;
    for (size_t i = 0; !found && i < json_array_size(value); i++)
        found = find_coded(json_array_get(value, i), depth + 1);
    if (json_is_object(value))
        json_object_foreach((json_t *)(uintptr_t)value, name, inner)
            if (!found)
                found = find_coded(inner, depth + 1);
    return found;
}

/* The Message, which may hold NULs. */
static void take_message(struct kms_error *error, const json_t *object, const char *password)
{
    static const char no_words[] = "KMS says no more";
    const json_t *message = answer_body_member(object, "Message");
    if (!json_is_string(message))
        message = answer_body_member(object, "ErrorMessage");
    const char *text = json_string_value(message);
    if (text && text[0])
        kms_error_set_message(error, text, json_string_length(message), password);
    else
        kms_error_set_message(error, no_words, strlen(no_words), NULL);
}

/* It has a Code, or else an id of a request, which only KMS gives. */
static void take_words(struct kms_error *error, const json_t *object, const char *password)
{
    const json_t *coded = find_coded(object, 0);
    const char *id = text_of(coded, id_names);
    if (!id)
        id = text_of(object, id_names);
    if (!coded && !(id && id[0]))
        return;
    kms_error_set_code(error, coded ? text_of(coded, code_names) : "NoCode", password);
    take_message(error, coded ? coded : object, password);
    kms_error_set_request_id(error, id ? id : "", password);
}

static void take_foreign_answer(struct kms_error *error)
{
    char code[32], message[128];
    snprintf(code, sizeof(code), "Http.%ld", error->http_status);
    snprintf(message, sizeof(message), "not an answer of KMS; is the endpoint right, and is there a proxy or firewall on the way?");
    kms_error_set_code(error, code, NULL);
    kms_error_set_message(error, message, strlen(message), NULL);
}

void transport_error_of_answer(struct kms_error *error, long status, const char *body, size_t size,
                               const char *password)
{
    json_t *answer = answer_body_json(body, size, true);
    if (!answer)
        answer = answer_body_xml(body, size);
    error->http_status = status;
    error->code[0] = '\0';
    take_words(error, answer, password);
    json_decref(answer);
    if (!error->code[0])
        take_foreign_answer(error);
    error->number = kms_error_errno(error);
}

/* Whether OBJECT holds what an error says, and nothing else. */
static bool is_refusal(const json_t *object)
{
    static const char *const members[] = {"RequestId", "HostId", "Code", "Message", "Recommend", "HttpStatus", "HttpStatusCode",
                                          "Success", "AccessDeniedDetail", "Data"};
    const char *name, *code = text_of(object, code_names);
    json_t *value;
    bool known = code && code[0] && strcasecmp(code, "Success") != 0 && strcasecmp(code, "OK") != 0 && strcmp(code, "200") != 0;
    if (json_is_object(object))
        json_object_foreach((json_t *)(uintptr_t)object, name, value) {
            size_t i = 0;
            while (i < sizeof(members) / sizeof(members[0]) && strcasecmp(members[i], name) != 0)
                i++;
            known = known && i < sizeof(members) / sizeof(members[0]);
        }
    return known;
}

bool transport_error_of_success(struct kms_error *error, long status, const char *body, size_t size, const char *password)
{
    json_t *answer = answer_body_json(body, size, true);
    bool refusal = is_refusal(answer);
    json_decref(answer);
    if (refusal)
        transport_error_of_answer(error, status, body, size, password);
    return refusal;
}
