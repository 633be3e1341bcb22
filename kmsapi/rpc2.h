/*
 * The V2 signature of Alibaba Cloud's OpenAPI for RPC style operations, HMAC-SHA1: pure functions, any thread. STS is
 * asked with it, and the emulator checks with it what older clients send.
 *
 * Source: Alibaba Cloud SDK documentation, "RPC mechanism".
 */
#pragma once

#include <stddef.h>

#include "kmsapi/acs3.h"

struct rpc2_signature {
    char *string_to_sign; /* holds what the parameters hold: passwords too */
    char signature[29];   /* base64 of 20 bytes */
};

/*
 * Signs METHOD and PARAMETERS, those of the query and of a form together; one named Signature is left out. Returns 0
 * and fills *SIGNATURE (free it with rpc2_signature_clear), or -ENOMEM.
 */
int rpc2_sign(const char *method, const struct acs3_pair *parameters, size_t count,
              const char *access_key_secret, struct rpc2_signature *signature);

/* Wipes and frees the text; safe on a zeroed struct. */
void rpc2_signature_clear(struct rpc2_signature *signature);
