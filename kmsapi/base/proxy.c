#include "kmsapi/base/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { USUAL_PORT = 1080, USUAL_TLS_PORT = 443 }; /* libcurl's */

static int take_port(const char *text, unsigned int *port)
{
    unsigned int value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || (text[digits] != '\0' && strcmp(text + digits, "/") != 0))
        return -EINVAL;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned int)(text[i] - '0');
    *port = value;
    return value >= 1 && value <= 65535 ? 0 : -EINVAL;
}

int proxy_parse(const char *text, struct proxy *proxy)
{
    *proxy = (struct proxy){.port = strncasecmp(text, "https://", 8) == 0 ? USUAL_TLS_PORT : USUAL_PORT};
    const char *scheme = strstr(text, "://");
    text = scheme ? scheme + 3 : text;
    const char *user = strrchr(text, '@');
    text = user ? user + 1 : text;
    bool brackets = text[0] == '[';
    text += brackets;
    size_t length = strcspn(text, brackets ? "]" : ":/");
    if (length == 0 || length >= sizeof(proxy->host) || (brackets && text[length] != ']') ||
        strcspn(text, " \t,?#%") < length)
        return -EINVAL;
    memcpy(proxy->host, text, length);
    text += length + brackets;
    if (text[0] == ':')
        return take_port(text + 1, &proxy->port);
    return text[0] == '\0' || strcmp(text, "/") == 0 ? 0 : -EINVAL;
}

/* An address as 4 or 16 bytes; the count, 0 for a name. */
static unsigned int take_address(const char *text, unsigned char bytes[static 16])
{
    return inet_pton(AF_INET, text, bytes) == 1 ? 4 : inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned int bits)
{
    unsigned int whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool names_address(char *word, const unsigned char *address, unsigned int size)
{
    unsigned char bytes[16];
    unsigned long bits = 8UL * size;
    char *slash = strchr(word, '/'), *end;
    if (slash) {
        *slash = '\0';
        bits = strtoul(slash + 1, &end, 10);
        if (end == slash + 1 || *end != '\0' || bits > 8UL * size)
            return false;
    }
    size_t length = strlen(word);
    if (word[0] == '[' && word[length - 1] == ']') {
        word[length - 1] = '\0';
        word++;
    }
    return take_address(word, bytes) == size && same_bits(bytes, address, (unsigned int)bits);
}

static size_t without_dot(const char *name, size_t length)
{
    return length > 0 && name[length - 1] == '.' ? length - 1 : length;
}

static bool names_name(const char *word, const char *host)
{
    word += word[0] == '.';
    size_t own = without_dot(word, strlen(word)), whole = without_dot(host, strlen(host));
    return own > 0 && own <= whole && strncasecmp(host + whole - own, word, own) == 0 &&
           (own == whole || host[whole - own - 1] == '.');
}

bool proxy_list_names(const char *list, const char *host)
{
    unsigned char address[16];
    unsigned int size = take_address(host, address);
    if (strcmp(list, "*") == 0)
        return true;
    while (*list) {
        char word[300];
        size_t length = strcspn(list, " \t,");
        if (length > 0 && length < sizeof(word)) {
            memcpy(word, list, length);
            word[length] = '\0';
            if (size ? names_address(word, address, size) : names_name(word, host))
                return true;
        }
        list += length + strspn(list + length, " \t,");
    }
    return false;
}

static const char *first_of(const char *const *names)
{
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && value[0])
            return value;
    }
    return NULL;
}

static bool is_this_machine(const struct endpoint *endpoint)
{
    unsigned char address[16];
    unsigned int size = take_address(endpoint->host, address);
    static const unsigned char loopback[16] = {[15] = 1};
    return (size == 4 && address[0] == 127) || (size == 16 && memcmp(address, loopback, 16) == 0) ||
           strcasecmp(endpoint->host, "localhost") == 0;
}

const char *proxy_for(const char *given, const struct endpoint *endpoint)
{
    static const char *const proxies[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const exceptions[] = {"no_proxy", "NO_PROXY", NULL};
    const char *url = given && given[0] ? given : first_of(proxies), *list = first_of(exceptions);
    if (!url || is_this_machine(endpoint) || (list && proxy_list_names(list, endpoint->host)))
        return NULL;
    return url;
}
