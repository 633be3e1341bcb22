/*
 * A credentials URI: a local server that hands out sessions.
 */
#include <errno.h>
#include <stdio.h>

#include "kmsapi/credentials/http.h"
#include "kmsapi/credentials/provider.h"
#include "kmsapi/credentials/session_answer.h"

enum { CONNECT_MS = 5000, WHOLE_MS = 15000 };

int provider_uri(const struct fetching *fetching, const char *argument, struct session *session,
                 char *reason, size_t size)
{
    const char *url = argument ? argument : provider_variable("ALIBABA_CLOUD_CREDENTIALS_URI");
    struct http_answer answer;
    if (!url) {
        snprintf(reason, size, "ALIBABA_CLOUD_CREDENTIALS_URI");
        return -ENOENT;
    }
    const struct http_request request = {
        .method = "GET", .url = url, .connect_ms = CONNECT_MS, .whole_ms = WHOLE_MS};
    int r = http_ask_for_success(fetching, &request, &answer, reason, size);
    if (r == 0)
        r = session_answer_read_http(&answer, session, reason, size);
    http_answer_clear(&answer);
    return r;
}
