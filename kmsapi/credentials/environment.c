/*
 * The first provider of the official SDKs' chain: the environment.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kmsapi/credentials/credentials.h"

enum { VALUE_MOST = 4096 };

static int take(const char *name, char **value, char *reason, size_t size)
{
    const char *text = getenv(name);
    if (!text || !text[0])
        return -ENOENT;
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if (length > VALUE_MOST || text[i] <= ' ' || text[i] > '~') {
            snprintf(reason, size, "%s: a character that is not printable ASCII, or longer than %d",
                     name, VALUE_MOST);
            return -EINVAL;
        }
    *value = OPENSSL_strdup(text);
    if (!*value)
        snprintf(reason, size, "memory is short");
    return *value ? 0 : -ENOMEM;
}

int credentials_from_environment(struct credentials *credentials, char *reason, size_t size)
{
    *credentials = (struct credentials){0};
    snprintf(reason, size, "no credentials; set ALIBABA_CLOUD_ACCESS_KEY_ID and "
                           "ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    int r = take("ALIBABA_CLOUD_ACCESS_KEY_ID", &credentials->access_key_id, reason, size);
    if (r == 0)
        r = take("ALIBABA_CLOUD_ACCESS_KEY_SECRET", &credentials->access_key_secret, reason, size);
    if (r == 0)
        r = take("ALIBABA_CLOUD_SECURITY_TOKEN", &credentials->security_token, reason, size);
    if (r == -ENOENT && credentials->access_key_secret)
        r = 0; /* only the token is missing */
    if (r < 0)
        credentials_clear(credentials);
    return r;
}
