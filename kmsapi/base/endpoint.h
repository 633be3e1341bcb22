/*
 * Where KMS is: a URL of scheme, host and port, nothing else. Pure, any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct endpoint {
    bool tls;
    bool literal;   /* the host is a numeric address */
    char host[254]; /* IPv6 without its brackets */
    unsigned int port;
    char authority[270]; /* as the Host header has it: the port only where it is not the usual one */
};

/*
 * Parses "https://HOST[:PORT]", "HOST[:PORT]" (the same) or "http://ADDRESS[:PORT]" with a loopback
 * address: a signed request carries the password and must not travel in the clear. A "/" at the
 * end is accepted. 0, or -EINVAL and REASON: what would be right.
 */
int endpoint_parse(const char *text, struct endpoint *endpoint, char *reason, size_t size);

/*
 * Whether TEXT, however it is written, is the address of one KMS instance: KST-ID.cryptoservice.kms.aliyuncs.com. Client keys
 * are used there, and not made.
 */
bool endpoint_is_of_instance(const char *text);
