#include "kmsapi/base/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char right[] = "right is https://HOST or https://HOST:PORT";

static int refuse(char *reason, size_t size, const char *text)
{
    snprintf(reason, size, "%s; %s", text, right);
    return -EINVAL;
}

static int parse_port(const char *text, size_t length, unsigned int *port)
{
    unsigned int value = 0;
    if (length == 0 || length > 5)
        return -EINVAL;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        value = value * 10 + (unsigned int)(text[i] - '0');
    }
    *port = value;
    return value >= 1 && value <= 65535 ? 0 : -EINVAL;
}

static bool is_name(const char *host)
{
    size_t label = 0;
    for (const char *c = host; *c; c++) {
        bool alphanumeric = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
                            (*c >= 'A' && *c <= 'Z');
        if (*c == '.') {
            if (label == 0 || c[-1] == '-')
                return false;
            label = 0;
        } else if (alphanumeric || (*c == '-' && label > 0)) {
            if (++label > 63)
                return false;
        } else {
            return false;
        }
    }
    return label > 0;
}

/* Whether HOST is a literal address, and of this machine alone. */
static bool is_literal(const char *host, bool *loopback)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host, &four) == 1) {
        *loopback = ntohl(four.s_addr) >> 24 == 127;
        return true;
    }
    if (inet_pton(AF_INET6, host, &six) == 1) {
        *loopback = IN6_IS_ADDR_LOOPBACK(&six);
        return true;
    }
    *loopback = false;
    return false;
}

/* Cuts the host off TEXT; what follows it, or NULL. */
static const char *take_host(const char *text, struct endpoint *endpoint)
{
    bool brackets = text[0] == '[';
    const char *begin = text + brackets;
    size_t length = strcspn(begin, brackets ? "]" : ":/");
    if (length == 0 || length >= sizeof(endpoint->host) || (brackets && begin[length] != ']'))
        return NULL;
    memcpy(endpoint->host, begin, length);
    endpoint->host[length] = '\0';
    if (brackets != (strchr(endpoint->host, ':') != NULL))
        return NULL;
    return begin + length + brackets;
}

int endpoint_parse(const char *text, struct endpoint *endpoint, char *reason, size_t size)
{
    *endpoint = (struct endpoint){.tls = true};
    if (strncmp(text, "https://", 8) == 0) {
        text += 8;
    } else if (strncmp(text, "http://", 7) == 0) {
        text += 7;
        endpoint->tls = false;
    } else if (strstr(text, "://")) {
        return refuse(reason, size, "neither https nor http");
    }
    if (strchr(text, '@'))
        return refuse(reason, size, "a user name or password has no place here");
    text = take_host(text, endpoint);
    if (!text)
        return refuse(reason, size, "the host is missing or too long");

    unsigned int usual = endpoint->tls ? 443 : 80;
    endpoint->port = usual;
    if (text[0] == ':') {
        size_t length = strcspn(text + 1, "/");
        if (parse_port(text + 1, length, &endpoint->port) < 0)
            return refuse(reason, size, "the port is not a number from 1 to 65535");
        text += 1 + length;
    }
    if (text[0] != '\0' && strcmp(text, "/") != 0)
        return refuse(reason, size, "a path has no place here");

    bool loopback;
    endpoint->literal = is_literal(endpoint->host, &loopback);
    if (!endpoint->literal && !is_name(endpoint->host))
        return refuse(reason, size, "the host is neither a name nor an address");
    if (!endpoint->tls && !loopback)
        return refuse(reason, size, "http:// is for 127.0.0.1 and [::1] only, since requests carry "
                                    "passwords");
    bool six = strchr(endpoint->host, ':') != NULL;
    int length = snprintf(endpoint->authority, sizeof(endpoint->authority), "%s%s%s",
                          six ? "[" : "", endpoint->host, six ? "]" : "");
    if (endpoint->port != usual)
        snprintf(endpoint->authority + length, sizeof(endpoint->authority) - (size_t)length, ":%u",
                 endpoint->port);
    return 0;
}

bool endpoint_is_of_instance(const char *text)
{
    const char *scheme = strstr(text, "://");
    const char *host = scheme ? scheme + 3 : text;
    return strncasecmp(host, "kst-", 4) == 0 || strncasecmp(host, "cryptoservice.", 14) == 0 ||
           strcasestr(host, ".cryptoservice.");
}
