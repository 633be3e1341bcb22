#include "kmsapi/key_bytes.h"

#include <errno.h>
#include <string.h>

#include <openssl/pem.h>

#include "kmsapi/openssl_cleanup.h"

int key_bytes_take(BIO *out, struct client_key_bytes *bytes)
{
    char *data;
    long size = BIO_get_mem_data(out, &data);
    if (size <= 0)
        return -ENOMEM;
    bytes->data = OPENSSL_malloc((size_t)size + 1);
    if (!bytes->data)
        return -ENOMEM;
    memcpy(bytes->data, data, (size_t)size);
    bytes->data[size] = '\0';
    bytes->size = (size_t)size;
    return 0;
}

int key_bytes_of_certificate(const X509 *certificate, struct client_key_bytes *bytes)
{
    _cleanup_(BIO) BIO *out = BIO_new(BIO_s_mem());
    if (!out || !PEM_write_bio_X509(out, certificate))
        return -ENOMEM;
    return key_bytes_take(out, bytes);
}
