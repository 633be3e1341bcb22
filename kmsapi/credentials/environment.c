/*
 * The first provider of the official SDKs' chain: the environment.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsapi/credentials/credentials.h"
#include "kmsapi/credentials/provider.h"

int credentials_from_environment(struct credentials *credentials, char *reason, size_t size)
{
    const char *id = getenv("ALIBABA_CLOUD_ACCESS_KEY_ID");
    const char *secret = getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    char why[128];
    *credentials = (struct credentials){0};
    if (!id || !id[0] || !secret || !secret[0]) {
        snprintf(reason, size, "no credentials; set ALIBABA_CLOUD_ACCESS_KEY_ID and "
                               "ALIBABA_CLOUD_ACCESS_KEY_SECRET");
        return -ENOENT;
    }
    int r = credentials_set(credentials, id, secret, getenv("ALIBABA_CLOUD_SECURITY_TOKEN"), why,
                            sizeof(why));
    if (r < 0)
        snprintf(reason, size, "ALIBABA_CLOUD_ACCESS_KEY_ID, _ACCESS_KEY_SECRET or _SECURITY_TOKEN: %s",
                 why);
    return r;
}

int provider_environment(const struct fetching *fetching, const char *argument,
                         struct session *session, char *reason, size_t size)
{
    int r = credentials_from_environment(&session->credentials, reason, size);
    if (r == -ENOENT) {
        const char *id = getenv("ALIBABA_CLOUD_ACCESS_KEY_ID");
        snprintf(reason, size, "%s", id && id[0] ? "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
                                                 : "ALIBABA_CLOUD_ACCESS_KEY_ID");
    }
    return r;
}
