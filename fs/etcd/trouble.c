#include "fs/etcd/trouble.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/etcd/answers.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/base/error_text.h"
#include "kmsapi/transport_error.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

void trouble_set(struct trouble *trouble, enum trouble_next next, int number, const char *url, const char *text)
{
    *trouble = (struct trouble){.next = next, .error = {.number = number}};
    trouble->error.maybe_done = next == TROUBLE_ELSEWHERE;
    snprintf(trouble->error.text, sizeof(trouble->error.text), "%.280s: %.220s", url, text);
}

/* -- libcurl's -------------------------------------------------------------------------------- */

/* With TLS 1.3 a server tells after the handshake that it does not take our certificate, or wants one. */
static bool is_alert(const struct exchange *exchange)
{
    CURLcode code = exchange->code;
    return (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_SSL_CONNECT_ERROR) &&
           strstr(exchange->detail, "alert");
}

static const char *words_for(int number)
{
    switch (number) {
    case ETIMEDOUT:
        return "no answer in time";
    case EHOSTUNREACH:
        return "cannot be reached";
    case ECONNREFUSED:
        return "the connection was refused, or broke";
    case ECONNRESET:
        return "the connection broke";
    default:
        return NULL;
    }
}

void trouble_of_curl(struct trouble *trouble, const struct exchange *exchange, const char *url)
{
    struct kms_error error = {0};
    char text[600];
    if (is_alert(exchange)) {
        const char *alert = strstr(exchange->detail, "alert");
        snprintf(text, sizeof(text), "etcd does not take the client certificate (%.40s); see certificate", alert);
        trouble_set(trouble, TROUBLE_NOWHERE, EPROTO, url, text);
        return;
    }
    if (exchange->too_large) {
        trouble_set(trouble, TROUBLE_FINAL, EMSGSIZE, url, "its answer is too large");
        return;
    }
    transport_error_of_curl(&error, exchange->easy, exchange->code, exchange->detail, exchange_maybe_sent(exchange), false);
    const char *words = words_for(error.number);
    trouble_set(trouble, error.number == EPROTO ? TROUBLE_NOWHERE : TROUBLE_ELSEWHERE, error.number, url,
                words ? words : error.message);
    trouble->error.maybe_done = error.number != EPROTO && exchange_maybe_sent(exchange);
}

/* -- etcd's ----------------------------------------------------------------------------------- */

/* gRPC's codes. */
enum { CANCELED = 1, UNKNOWN, INVALID, DEADLINE, NOT_FOUND, EXISTS, DENIED, EXHAUSTED, PRECONDITION, ABORTED, RANGE,
       UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS, UNAUTHENTICATED, CODES };

static const char *const code_names[CODES] = {
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
    "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss",
    "Unauthenticated",
};

/* What etcd says, by its code and a part of its words; the first that fits. Else: another member may do. */
static const struct rule {
    int code;
    const char *words; /* NULL: any */
    enum trouble_next next;
    int number;
    const char *right; /* said beside etcd's own words; NULL: nothing */
} rules[] = {
    {UNAUTHENTICATED, NULL, TROUBLE_TOKEN, EACCES, NULL},
    {INVALID, "user name is empty", TROUBLE_TOKEN, EACCES, "etcd wants a user; see user and password_file"},
    {INVALID, "revision of auth store is old", TROUBLE_TOKEN, EACCES, NULL},
    {INVALID, "invalid user ID or password", TROUBLE_FINAL, EACCES, "see user and password_file"},
    {DENIED, NULL, TROUBLE_FINAL, EACCES, "the user's role must read and write all keys of prefix"},
    {NOT_FOUND, "lease not found", TROUBLE_FINAL, ENOENT, NULL},
    {RANGE, "has been compacted", TROUBLE_FINAL, ESTALE, NULL},
    {EXHAUSTED, "database space exceeded", TROUBLE_FINAL, ENOSPC, "compact and defragment etcd, then etcdctl alarm disarm"},
    {EXHAUSTED, "too many requests", TROUBLE_ELSEWHERE, EAGAIN, NULL},
    {PRECONDITION, "authentication is not enabled", TROUBLE_FINAL, EOPNOTSUPP, NULL},
    {UNAVAILABLE, "no leader", TROUBLE_ELSEWHERE, EAGAIN, "it has lost the other members"},
    {UNAVAILABLE, NULL, TROUBLE_ELSEWHERE, EAGAIN, NULL},
    {INVALID, NULL, TROUBLE_FINAL, EINVAL, NULL},
    {NOT_FOUND, NULL, TROUBLE_FINAL, EIO, NULL},
    {PRECONDITION, NULL, TROUBLE_FINAL, EIO, NULL},
    {UNIMPLEMENTED, NULL, TROUBLE_NOWHERE, EOPNOTSUPP, "right is etcd from 3.4 on"},
};

static void set_by_code(struct trouble *trouble, int code, const char *message, size_t size, const char *url)
{
    char clean[200], text[400];
    const struct rule *rule = rules, *end = rules + sizeof(rules) / sizeof(rules[0]);
    error_text_clean(message, size, NULL, clean, sizeof(clean));
    while (rule < end && (rule->code != code || (rule->words && !strstr(clean, rule->words))))
        rule++;
    const char *right = rule < end ? rule->right : NULL;
    snprintf(text, sizeof(text), "%s%s%s", clean[0] ? clean : "an error without words", right ? "; " : "", right ? right : "");
    trouble_set(trouble, rule < end ? rule->next : TROUBLE_ELSEWHERE, rule < end ? rule->number : EIO, url, text);
}

/*
 * Of whatever version: {"error", "code"}, {"message", "code"}, {"error": {"message", "grpc_code"}} or
 * {"error": {"message", "code"}}.
 */
void trouble_of_error(struct trouble *trouble, const json_t *answer, const char *url)
{
    const json_t *inner = json_object_get(answer, "error"), *error = json_is_object(inner) ? inner : answer;
    const json_t *code = json_object_get(error, "code"), *message = json_object_get(error, "message");
    if (!code)
        code = json_object_get(error, "grpc_code");
    if (!message)
        message = json_object_get(error, "error");
    json_int_t number = json_integer_value(code);
    set_by_code(trouble, number > 0 && number < CODES ? (int)number : UNKNOWN,
                json_is_string(message) ? json_string_value(message) : "", json_string_length(message), url);
}

void trouble_of_reason(struct trouble *trouble, const char *reason, const char *url)
{
    static const char head[] = "rpc error: code = ", middle[] = " desc = ";
    const char *words = strstr(reason, middle);
    int code = UNKNOWN;
    for (int i = 1; words && i < CODES; i++) {
        size_t length = strlen(code_names[i]);
        if (strncmp(reason, head, strlen(head)) == 0 && strncmp(reason + strlen(head), code_names[i], length) == 0 &&
            reason + strlen(head) + length == words)
            code = i;
    }
    const char *told = words ? words + strlen(middle) : reason;
    set_by_code(trouble, code, told, strlen(told), url);
}

void trouble_of_answer(struct trouble *trouble, long status, const char *body, size_t size, const char *url)
{
    static const char common_name[] = "CommonName of client";
    _cleanup_(json) json_t *answer = answer_parse(body, size);
    char text[128];
    if (json_object_get(answer, "error") || json_object_get(answer, "code")) {
        trouble_of_error(trouble, answer, url);
        return;
    }
    if (status == 400 && size >= strlen(common_name) && memcmp(body, common_name, strlen(common_name)) == 0) {
        trouble_set(trouble, TROUBLE_NOWHERE, EACCES, url,
                    "with users on, etcd takes no certificate that has a CommonName from us; right is one without");
        return;
    }
    snprintf(text, sizeof(text), "not an answer of etcd (HTTP %ld); %s", status,
             status == 404 ? "is its enable-grpc-gateway on?" : "is the URL right?");
    trouble_set(trouble, TROUBLE_NOWHERE, EBADMSG, url, text);
    trouble->error.maybe_done = status != 404;
}
