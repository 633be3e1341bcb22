/*
 * What OpenSSL has written, as bytes of a client key. Pure, any thread.
 */
#ifndef AAPFS_KMSAPI_KEY_BYTES_H
#define AAPFS_KMSAPI_KEY_BYTES_H

#include <openssl/bio.h>
#include <openssl/x509.h>

#include "kmsapi/client_key.h"

/* What OUT, a memory BIO, holds, as bytes of our own. 0 or -ENOMEM. */
int key_bytes_take(BIO *out, struct client_key_bytes *bytes);

/* CERTIFICATE in PEM: the one form in which it is compared, kept and shown. 0 or -ENOMEM. */
int key_bytes_of_certificate(const X509 *certificate, struct client_key_bytes *bytes);

#endif
