/*
 * Access credentials for the OpenAPI: a pair, or a session with its token. Functions without state,
 * any thread; where they come from is source.h's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct credentials {
    char *access_key_id;
    char *access_key_secret;
    char *security_token; /* NULL without STS */
    uint64_t serial;      /* another for other credentials of the same source; 0: not counted */
};

/*
 * Copies these, the token only where it is neither NULL nor empty. 0; -EINVAL for a value that is
 * missing, has control characters, spaces or what is not ASCII, or is over 4096 bytes (REASON says
 * which, never the value); -ENOMEM.
 */
int credentials_set(struct credentials *credentials, const char *access_key_id,
                    const char *access_key_secret, const char *security_token, char *reason,
                    size_t size);

/*
 * TOKEN where ACCESS_KEY_ID is a session's ("STS.…"), else NULL: beside a user's own access key it is a leftover, or empty.
 */
const char *credentials_token_of(const char *access_key_id, const char *token);

/* 0 or -ENOMEM. */
int credentials_copy(const struct credentials *from, struct credentials *to);

/* Wipes and frees what is inside; safe on a zeroed struct. */
void credentials_clear(struct credentials *credentials);

/*
 * From ALIBABA_CLOUD_ACCESS_KEY_ID, _ACCESS_KEY_SECRET and, when set, _SECURITY_TOKEN (the chain of
 * the official SDKs, first provider). 0; -ENOENT when the first two are not both set and not
 * empty; otherwise as credentials_set.
 */
int credentials_from_environment(struct credentials *credentials, char *reason, size_t size);
