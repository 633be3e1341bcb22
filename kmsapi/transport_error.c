#include "kmsapi/transport_error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <openssl/x509_vfy.h>

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

static const char *member(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "";
}

void transport_error_of_answer(struct kms_error *error, long status, const char *body, size_t size,
                               const char *password)
{
    error->http_status = status;
    json_t *answer = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    const char *code = member(answer, "Code"), *message = member(answer, "Message");
    if (code[0]) {
        error->number = kms_error_errno(code, status);
        kms_error_set_code(error, code, password);
        kms_error_set_message(error, message, strlen(message), password);
        kms_error_set_request_id(error, member(answer, "RequestId"), password);
    } else {
        char own[32];
        snprintf(own, sizeof(own), "Http.%ld", status);
        transport_error_set(error, kms_error_errno("", status), own,
                            "not an answer of KMS; is the endpoint right?");
    }
    json_decref(answer);
}
