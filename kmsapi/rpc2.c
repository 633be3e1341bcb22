#include "kmsapi/rpc2.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "kmsapi/cleanup.h"
#include "kmsapi/openssl_cleanup.h"

enum { MAC_SIZE = 20 };

static int make_string_to_sign(const char *method, const struct acs3_pair *parameters, size_t count,
                               struct rpc2_signature *signature)
{
    static const char between[] = "&%2F&";
    _cleanup_(free) struct acs3_pair *signed_ones = calloc(count + 1, sizeof(*signed_ones));
    size_t kept = 0;
    for (size_t i = 0; signed_ones && i < count; i++)
        if (strcmp(parameters[i].name, "Signature") != 0)
            signed_ones[kept++] = parameters[i];
    _cleanup_(secret_string) char *query = signed_ones ? acs3_canonical_query(signed_ones, kept) : NULL;
    _cleanup_(secret_string) char *encoded = query ? acs3_percent_encode(query) : NULL;
    if (!encoded)
        return -ENOMEM;
    size_t size = strlen(method) + strlen(between) + strlen(encoded) + 1;
    signature->string_to_sign = OPENSSL_malloc(size);
    if (!signature->string_to_sign)
        return -ENOMEM;
    snprintf(signature->string_to_sign, size, "%s%s%s", method, between, encoded);
    return 0;
}

/* The secret with "&" behind it is the key. */
static int make_signature(const char *access_key_secret, struct rpc2_signature *signature)
{
    const char *text = signature->string_to_sign;
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_size = 0;
    size_t key_size = strlen(access_key_secret) + 1;
    char *key = OPENSSL_malloc(key_size + 1);
    if (!key)
        return -ENOMEM;
    snprintf(key, key_size + 1, "%s&", access_key_secret);
    bool good = HMAC(EVP_sha1(), key, (int)key_size, (const unsigned char *)text, strlen(text), mac,
                     &mac_size) && mac_size == MAC_SIZE;
    OPENSSL_clear_free(key, key_size + 1);
    if (good)
        EVP_EncodeBlock((unsigned char *)signature->signature, mac, MAC_SIZE);
    return good ? 0 : -ENOMEM;
}

int rpc2_sign(const char *method, const struct acs3_pair *parameters, size_t count,
              const char *access_key_secret, struct rpc2_signature *signature)
{
    *signature = (struct rpc2_signature){0};
    int r = make_string_to_sign(method, parameters, count, signature);
    if (r == 0)
        r = make_signature(access_key_secret, signature);
    if (r < 0)
        rpc2_signature_clear(signature);
    return r;
}

void rpc2_signature_clear(struct rpc2_signature *signature)
{
    if (signature->string_to_sign)
        OPENSSL_clear_free(signature->string_to_sign, strlen(signature->string_to_sign));
    *signature = (struct rpc2_signature){0};
}
