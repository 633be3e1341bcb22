/*
 * Cleanup attributes for OpenSSL's and jansson's types; secrets with the functions that wipe.
 * No state, any thread.
 */
#pragma once

#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "kmsapi/cleanup.h"

DEFINE_CLEANUP(BIO, BIO *, BIO_free_all)
DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(X509, X509 *, X509_free)
DEFINE_CLEANUP(PKCS12, PKCS12 *, PKCS12_free)
DEFINE_CLEANUP(X509_SIG, X509_SIG *, X509_SIG_free)
DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO *, PKCS8_PRIV_KEY_INFO_free)

/* A NUL-terminated string from an OpenSSL allocator that may hold a secret. */
static inline void cleanup_secret_string(char **string)
{
    if (*string)
        OPENSSL_clear_free(*string, strlen(*string));
    *string = NULL;
}
