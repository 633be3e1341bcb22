/*
 * One small HTTP request of a provider, answered whole or failed. Blocks; the source's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmsapi/credentials/provider.h"

struct http_request {
    const char *method;  /* GET, POST, PUT */
    const char *url;     /* http or https, without user name and password; never shown */
    const char *body;    /* a form; NULL: none */
    const char *headers[3]; /* "name: value"; NULL ends */
    unsigned int connect_ms, whole_ms;
    bool maybe_nobody; /* where nobody is reached, or answers in time, there may be nobody at all: no other try */
};

struct http_answer {
    long status;
    char *body; /* NUL-terminated, wiped by http_answer_clear; never NULL after success */
    size_t size, room;
    int64_t server_date; /* of its Date header, seconds since 1970; 0: none */
    bool passing; /* a failure that may be over soon: of the network, or of a server in trouble */
};

/*
 * No redirect is followed; a proxy is used only for https, which it cannot read, and for what is
 * not link-local, loopback or the metadata service. 0 with an answer of whatever status; or negative errno and REASON, which names
 * the host only: no answer (-EHOSTUNREACH where nobody was reached, -ETIMEDOUT from one who was), one over 64 KiB, a URL that is none. ANSWER's passing is told in any case.
 */
int http_ask(const struct fetching *fetching, const struct http_request *request,
             struct http_answer *answer, char *reason, size_t size);

/*
 * The same, and a status that is not 200 is -EIO; the answer is then that status alone. What fails
 * in passing is tried again.
 */
int http_ask_for_success(const struct fetching *fetching, const struct http_request *request,
                         struct http_answer *answer, char *reason, size_t size);

/* Safe on a zeroed struct. */
void http_answer_clear(struct http_answer *answer);

/* Whether HOST (IPv6 with or without brackets, a dot at its end or none) is this machine or its nearest surroundings: no proxy's business. */
bool http_host_is_local(const char *host);
