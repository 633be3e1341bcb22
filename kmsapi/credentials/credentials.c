#include "kmsapi/credentials/credentials.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

enum { VALUE_MOST = 4096 };

static int refuse(const char *name, const char *what, char *reason, size_t size)
{
    snprintf(reason, size, "%s: %s", name, what);
    return -EINVAL;
}

static int copy_value(const char *name, const char *text, char **value, char *reason, size_t size)
{
    if (!text || !text[0])
        return refuse(name, "is missing", reason, size);
    if (strlen(text) > VALUE_MOST)
        return refuse(name, "longer than 4096", reason, size);
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c > '~')
            return refuse(name, "a character that is not printable ASCII", reason, size);
    *value = OPENSSL_strdup(text);
    if (!*value)
        snprintf(reason, size, "memory is short");
    return *value ? 0 : -ENOMEM;
}

int credentials_set(struct credentials *credentials, const char *access_key_id,
                    const char *access_key_secret, const char *security_token, char *reason,
                    size_t size)
{
    *credentials = (struct credentials){0};
    int r = copy_value("the access key id", access_key_id, &credentials->access_key_id, reason, size);
    if (r == 0)
        r = copy_value("the access key secret", access_key_secret, &credentials->access_key_secret,
                       reason, size);
    if (r == 0 && security_token && security_token[0])
        r = copy_value("the security token", security_token, &credentials->security_token, reason,
                       size);
    if (r < 0)
        credentials_clear(credentials);
    return r;
}

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

const char *credentials_token_of(const char *access_key_id, const char *token)
{
    return access_key_id && strncmp(access_key_id, "STS.", 4) == 0 ? token : NULL;
}

int credentials_copy(const struct credentials *from, struct credentials *to)
{
    *to = (struct credentials){
        .access_key_id = OPENSSL_strdup(from->access_key_id),
        .access_key_secret = OPENSSL_strdup(from->access_key_secret),
        .security_token = from->security_token ? OPENSSL_strdup(from->security_token) : NULL,
        .serial = from->serial,
    };
    if (to->access_key_id && to->access_key_secret && !from->security_token == !to->security_token)
        return 0;
    credentials_clear(to);
    return -ENOMEM;
}

static void clear(char **text)
{
    if (*text)
        OPENSSL_clear_free(*text, strlen(*text));
    *text = NULL;
}

void credentials_clear(struct credentials *credentials)
{
    clear(&credentials->access_key_id);
    clear(&credentials->access_key_secret);
    clear(&credentials->security_token);
}
