#include "kmsapi/base/libcurl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

CURLcode libcurl_set_protocols(CURL *easy, bool may_be_plain, bool may_be_secret)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    static const char *const names[2][2] = {{"", "https"}, {"http", "http,https"}};
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, names[may_be_plain][may_be_secret]);
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                            (may_be_plain ? (long)CURLPROTO_HTTP : 0) | (may_be_secret ? (long)CURLPROTO_HTTPS : 0));
#endif
}

CURLcode libcurl_set_quick_exit(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075700
    return curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#else
    return CURLE_OK;
#endif
}

/* Whether LINE is header NAME with a value, which fits. */
static bool is_header(const char *line, size_t size, const char *name, char *value, size_t room)
{
    static const char blanks[] = " \t\r\n";
    size_t start = strlen(name) + 1;
    if (size < start || line[start - 1] != ':' || strncasecmp(line, name, start - 1) != 0)
        return false;
    while (start < size && strchr(blanks, line[start]))
        start++;
    return (size_t)snprintf(value, room, "%.*s", (int)(size - start), line + start) < room;
}

void answer_headers_take(struct answer_headers *headers, const char *line, size_t size)
{
    char value[64];
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0)
        *headers = (struct answer_headers){0};
    if (!headers->date && is_header(line, size, "date", value, sizeof(value))) {
        time_t date = curl_getdate(value, NULL);
        headers->date = date > 0 ? date : 0;
    }
    if (!headers->retry_after_ms && is_header(line, size, "x-acs-retry-after", value, sizeof(value)) && value[0] >= '0' &&
        value[0] <= '9')
        headers->retry_after_ms = strtoimax(value, NULL, 10);
}
