/*
 * Which HTTP proxy a request goes through: a given one or, as libcurl has it, that of the environment. Decided here
 * and not by libcurl, because names are resolved before it is asked. Any thread that may read the environment.
 */
#pragma once

#include <stdbool.h>

#include "kmsapi/base/endpoint.h"

struct proxy {
    char host[254]; /* IPv6 without its brackets; "": none */
    unsigned int port;
};

/* "[SCHEME://][USER[:PASSWORD]@]HOST[:PORT][/]". 0 or -EINVAL. */
int proxy_parse(const char *text, struct proxy *proxy);

/*
 * The URL of the proxy for ENDPOINT: GIVEN, or with GIVEN empty or NULL that of https_proxy, HTTPS_PROXY, all_proxy or
 * ALL_PROXY; NULL: none, because there is none, no_proxy (NO_PROXY) names the host, or the host is this machine.
 */
const char *proxy_for(const char *given, const struct endpoint *endpoint);

/* Whether LIST, as in no_proxy, names HOST: "*", names with all that is below them, addresses, ADDRESS/BITS. */
bool proxy_list_names(const char *list, const char *host);
