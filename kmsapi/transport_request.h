/*
 * One signed attempt of a request as a libcurl handle. The transport's own; its thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kmsapi/acs3.h"
#include "kmsapi/base/endpoint.h"
#include "kmsapi/base/libcurl.h"
#include "kmsapi/base/proxy.h"
#include "kmsapi/credentials/credentials.h"
#include "kmsapi/transport.h"

struct attempt {
    CURL *easy;
    struct curl_slist *headers;
    struct curl_slist *resolve;
    struct answer_headers answered;
    char detail[CURL_ERROR_SIZE];
    char *body; /* wiped by attempt_clear */
    size_t size, room, limit;
    bool too_large;
    bool through_proxy;
};

/*
 * Makes an attempt of REQUEST with a fresh nonce and the current time, ready for curl_multi_add_handle.
 * ADDRESSES: what the proxy's name resolves to or, without one (host ""), the endpoint's. 0, or -ENOMEM.
 */
int attempt_make(struct attempt *attempt, const struct transport_options *options,
                 const struct endpoint *endpoint, const struct proxy *proxy,
                 const struct transport_request *request,
                 const struct credentials *credentials, const char *addresses,
                 int64_t now);

/* Frees; the handle must not be in a multi handle any more. Safe on a zeroed struct. */
void attempt_clear(struct attempt *attempt);

/* Whether the request, or a part of it, may have left this machine. */
bool attempt_maybe_sent(const struct attempt *attempt);
