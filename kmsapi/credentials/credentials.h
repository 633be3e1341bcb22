/*
 * Access credentials for the OpenAPI. A provider is asked for the current ones before every
 * request; today's only provider is the environment. Engine thread only.
 */
#ifndef AAPFS_KMSAPI_CREDENTIALS_H
#define AAPFS_KMSAPI_CREDENTIALS_H

#include <stddef.h>

struct credentials {
    char *access_key_id;
    char *access_key_secret;
    char *security_token; /* NULL without STS */
};

/* Wipes and frees what is inside; safe on a zeroed struct. */
void credentials_clear(struct credentials *credentials);

/*
 * From ALIBABA_CLOUD_ACCESS_KEY_ID, _ACCESS_KEY_SECRET and, when set, _SECURITY_TOKEN (the chain of
 * the official SDKs, first provider). 0; -ENOENT when the first two are not both set and not
 * empty; -EINVAL for one with control characters, spaces or over 4096 bytes (REASON says which,
 * never its value); -ENOMEM.
 */
int credentials_from_environment(struct credentials *credentials, char *reason, size_t size);

#endif
