/*
 * The V3 request signature of Alibaba Cloud's OpenAPI, ACS3-HMAC-SHA256: pure functions, any
 * thread. The client signs with it and the emulator checks with it.
 *
 * Source: Alibaba Cloud SDK documentation, "V3 request structure and signature".
 */
#pragma once

#include <stddef.h>

/* A parameter or header: plain text, not percent-encoded, NUL-terminated. Owned by the caller. */
struct acs3_pair {
    const char *name;
    const char *value;
};

struct acs3_request {
    const char *method; /* "GET", "POST" */
    const char *path;   /* "/" for RPC style operations, already encoded */
    const struct acs3_pair *query;
    size_t query_count;
    /* Every header that is sent. Signed are host, content-type and x-acs-*; others are ignored. */
    const struct acs3_pair *headers;
    size_t header_count;
};

/* The steps of a signature. The texts hold what the query holds: passwords too. */
struct acs3_signature {
    char *canonical_request;
    char *signed_headers;      /* "host;x-acs-action;..." */
    char string_to_sign[128];  /* "ACS3-HMAC-SHA256\n" and 64 hexadecimal digits */
    char signature[65];        /* 64 lower-case hexadecimal digits */
};

/*
 * Signs REQUEST, which must carry an x-acs-content-sha256 header. Returns 0 and fills *SIGNATURE
 * (free it with acs3_signature_clear), -EINVAL without that header, or -ENOMEM.
 */
int acs3_sign(const struct acs3_request *request, const char *access_key_secret,
              struct acs3_signature *signature);

/*
 * What is signed: fills canonical_request and signed_headers, and HASH with the former's SHA-256. Returns as acs3_sign,
 * and *SIGNATURE is cleared the same way.
 */
int acs3_canonicalize(const struct acs3_request *request, struct acs3_signature *signature, char hash[static 65]);

/* Wipes and frees the texts; safe on a zeroed struct. */
void acs3_signature_clear(struct acs3_signature *signature);

/*
 * The Authorization header's value for SIGNATURE, or NULL when memory is short. free() it: it
 * holds nothing secret.
 */
char *acs3_authorization(const struct acs3_signature *signature, const char *access_key_id);

/*
 * The query sorted by name and percent-encoded (RFC 3986, unreserved as is), joined with "&": the
 * canonical query string, which is also what aapfs puts on the wire. NULL when memory is short.
 * Free with OPENSSL_clear_free(text, strlen(text)): it can hold a password.
 */
char *acs3_canonical_query(const struct acs3_pair *query, size_t count);

/*
 * TEXT percent-encoded (RFC 3986, unreserved as is). NULL when memory is short. Freed as the canonical query is.
 */
char *acs3_percent_encode(const char *text);

/* Lower-case hexadecimal SHA-256 of SIZE bytes into HEX. Returns 0 or -ENOMEM. */
int acs3_sha256_hex(const void *data, size_t size, char hex[static 65]);
