#include "kmsapi/emulator/acs4.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { MAC_SIZE = 32, SECRET_MOST = 256 };

static bool mac(const void *key, size_t size, const char *text, unsigned char out[static MAC_SIZE])
{
    return HMAC(EVP_sha256(), key, (int)size, (const unsigned char *)text, strlen(text), out, NULL) != NULL;
}

/* aliyun_v4 and the secret, then each part of the scope. */
static int derive(const char *secret, const struct acs4_scope *scope, unsigned char key[static MAC_SIZE])
{
    char first[SECRET_MOST];
    unsigned char date[MAC_SIZE], region[MAC_SIZE], product[MAC_SIZE];
    size_t size = (size_t)snprintf(first, sizeof(first), "aliyun_v4%s", secret);
    int r = size >= sizeof(first) ? -EINVAL : 0;
    if (r == 0 && (!mac(first, size, scope->date, date) || !mac(date, MAC_SIZE, scope->region, region) ||
                   !mac(region, MAC_SIZE, scope->product, product) ||
                   !mac(product, MAC_SIZE, "aliyun_v4_request", key)))
        r = -ENOMEM;
    OPENSSL_cleanse(first, sizeof(first));
    return r;
}

int acs4_sign(const struct acs3_request *request, const char *access_key_secret, const struct acs4_scope *scope,
              struct acs3_signature *signature)
{
    unsigned char key[MAC_SIZE], signed_text[MAC_SIZE];
    char hash[65];
    int r = derive(access_key_secret, scope, key);
    if (r < 0)
        return r;
    r = acs3_canonicalize(request, signature, hash);
    if (r == 0) {
        snprintf(signature->string_to_sign, sizeof(signature->string_to_sign), "ACS4-HMAC-SHA256\n%s", hash);
        if (!mac(key, sizeof(key), signature->string_to_sign, signed_text)) {
            acs3_signature_clear(signature);
            r = -ENOMEM;
        }
    }
    for (size_t i = 0; r == 0 && i < sizeof(signed_text); i++)
        snprintf(signature->signature + 2 * i, 3, "%02x", signed_text[i]);
    OPENSSL_cleanse(key, sizeof(key));
    return r;
}
