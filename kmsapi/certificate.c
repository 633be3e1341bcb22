#include "kmsapi/certificate.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "kmsapi/key_bytes.h"
#include "kmsapi/openssl_cleanup.h"

enum { PEM_MOST = 16384 };

/* Nobody is asked for a password, whatever the PEM says. */
static int no_password(char *buffer, int size, int writing, void *user)
{
    const char *password = user;
    if (!password || strlen(password) > (size_t)size)
        return -1;
    memcpy(buffer, password, strlen(password));
    return (int)strlen(password);
}

static X509 *parse(const char *pem)
{
    size_t size = strnlen(pem, PEM_MOST + 1);
    _cleanup_(BIO) BIO *in = size <= PEM_MOST ? BIO_new_mem_buf(pem, (int)size) : NULL;
    X509 *certificate = in ? PEM_read_bio_X509(in, NULL, no_password, NULL) : NULL;
    ERR_clear_error();
    return certificate;
}

int certificate_read(const char *pem, struct client_key_bytes *bytes)
{
    *bytes = (struct client_key_bytes){0};
    _cleanup_(X509) X509 *certificate = parse(pem);
    return certificate ? key_bytes_of_certificate(certificate, bytes) : -EINVAL;
}

bool certificate_is_of(const char *pem, const struct client_key *key, const char *password)
{
    _cleanup_(X509) X509 *certificate = parse(pem);
    _cleanup_(BIO) BIO *in = BIO_new_mem_buf(key->private_key_pem.data, (int)key->private_key_pem.size);
    _cleanup_(EVP_PKEY) EVP_PKEY *private_key =
        in ? PEM_read_bio_PrivateKey(in, NULL, no_password, (void *)(uintptr_t)password) : NULL;
    const EVP_PKEY *public_key = certificate ? X509_get0_pubkey(certificate) : NULL;
    bool same = private_key && public_key && EVP_PKEY_eq(public_key, private_key) == 1;
    if (same && key->certificate_pem.size > 0) {
        _cleanup_(X509) X509 *own = parse((const char *)key->certificate_pem.data);
        same = own && X509_cmp(own, certificate) == 0;
    }
    ERR_clear_error();
    return same;
}
