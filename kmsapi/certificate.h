/*
 * Certificates as KMS lists them, and what OpenSSL has written as bytes of a client key. Pure, any thread.
 */
#pragma once

#include <stdbool.h>

#include <openssl/bio.h>
#include <openssl/x509.h>

#include "kmsapi/client_key.h"

/*
 * PEM, the first certificate in it, in the one form that client_key_open writes too. How its lines are broken does not
 * matter, nor whether a newline stands before its end. 0; -EINVAL: none; -ENOMEM.
 */
int certificate_read(const char *pem, struct client_key_bytes *bytes);

/* Whether the certificate in PEM is that of KEY, which client_key_open filled with PASSWORD. */
bool certificate_is_of(const char *pem, const struct client_key *key, const char *password);

/* What OUT, a memory BIO, holds, as bytes of our own. 0 or -ENOMEM. */
int key_bytes_take(BIO *out, struct client_key_bytes *bytes);

/* CERTIFICATE in PEM: the one form in which it is compared, kept and shown. 0 or -ENOMEM. */
int key_bytes_of_certificate(const X509 *certificate, struct client_key_bytes *bytes);
