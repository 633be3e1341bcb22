#include "kmsapi/certificate.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

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

/* Where the base64 of the first certificate stands in PEM; false: there is none. */
static bool find_body(const char *pem, const char **body, size_t *size)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    const char *first = strstr(pem, begin), *last = first ? strstr(first, end) : NULL;
    if (!last)
        return false;
    *body = first + sizeof(begin) - 1;
    *size = (size_t)(last - *body);
    return true;
}

/*
 * Copies the base64 of BODY without what breaks its lines: blanks, line ends, and a backslash with n or r, as KMS's
 * documents print them. Its length, a multiple of 4; 0: it is none.
 */
static size_t take_base64(const char *body, size_t size, char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        if (strchr(" \t\r\n", body[i]))
            continue;
        if (body[i] == '\\' && i + 1 < size && (body[i + 1] == 'n' || body[i + 1] == 'r'))
            i++;
        else if (strchr(letters, body[i]))
            text[count++] = body[i];
        else
            return 0;
    }
    text[count] = '\0';
    size_t digits = strcspn(text, "=");
    return count % 4 == 0 && count - digits <= 2 && strspn(text + digits, "=") == count - digits ? count : 0;
}

/* PEM as loosely as KMS may write it: its lines, and the newline before its end, do not matter. */
static X509 *parse(const char *pem)
{
    char text[PEM_MOST + 1];
    unsigned char der[PEM_MOST];
    const char *body;
    size_t size;
    if (strnlen(pem, PEM_MOST + 1) > PEM_MOST || !find_body(pem, &body, &size))
        return NULL;
    size = take_base64(body, size, text);
    int length = size ? EVP_DecodeBlock(der, (const unsigned char *)text, (int)size) : -1;
    length -= length > 0 ? (int)(size - strcspn(text, "=")) : 0;
    const unsigned char *rest = der;
    X509 *certificate = length > 0 ? d2i_X509(NULL, &rest, length) : NULL;
    ERR_clear_error();
    if (!certificate || rest == der + length)
        return certificate;
    X509_free(certificate);
    return NULL;
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

/* -- what OpenSSL has written -------------------------------------------------------------- */

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
