#include "kmsapi/client_key.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "kmsapi/base/base64.h"
#include "kmsapi/certificate.h"
#include "kmsapi/openssl_cleanup.h"

enum {
    DATA_MOST = 64 * 1024,      /* base64; KMS's are 3.4 kB */
    KEY_BITS = 2048,
    ITERATIONS_MOST = 1000000,  /* KMS: 2048; more would hold the engine up */
    PKCS8_ITERATIONS = 10000,   /* the PKCS#12 beside it has 2048: more guards nothing */
    SALT_SIZE = 16, IV_SIZE = 16, /* together a SHA-256 */
};

struct client_key_library {
    OSSL_LIB_CTX *context;
    OSSL_PROVIDER *standard, *legacy;
    EVP_CIPHER *cipher;
};

/* What a PKCS#12 held. */
struct contents {
    X509 *certificate;
    EVP_PKEY *key;
    PKCS8_PRIV_KEY_INFO *key_info;
    bool certificate_hidden; /* encrypted so that only the legacy provider opens it */
};

struct client_key_library *client_key_library_new(bool with_legacy)
{
    struct client_key_library *library = calloc(1, sizeof(*library));
    if (!library)
        return NULL;
    library->context = OSSL_LIB_CTX_new();
    if (library->context)
        library->standard = OSSL_PROVIDER_load(library->context, "default");
    if (library->standard)
        library->cipher = EVP_CIPHER_fetch(library->context, "AES-256-CBC", NULL);
    if (!library->cipher) {
        client_key_library_free(library);
        return NULL;
    }
    if (with_legacy)
        library->legacy = OSSL_PROVIDER_load(library->context, "legacy");
    ERR_clear_error();
    return library;
}

void client_key_library_free(struct client_key_library *library)
{
    if (!library)
        return;
    EVP_CIPHER_free(library->cipher);
    if (library->legacy)
        OSSL_PROVIDER_unload(library->legacy);
    if (library->standard)
        OSSL_PROVIDER_unload(library->standard);
    OSSL_LIB_CTX_free(library->context);
    free(library);
}

static int __attribute__((format(printf, 3, 4)))
reject(char *reason, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, size, format, arguments);
    va_end(arguments);
    return -EKEYREJECTED;
}

static bool id_is_valid(const char *id)
{
    size_t size = strlen(id);
    return size >= 1 && size <= 128 && id[0] != '.' &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == size;
}

static int decode(const char *base64, struct client_key_bytes *der, char *reason, size_t size)
{
    size_t length = strlen(base64);
    if (length == 0 || length % 4 != 0 || length > DATA_MOST)
        return reject(reason, size, "PrivateKeyData is not base64 of a PKCS#12");
    int r = base64_decode(base64, &der->data, &der->size);
    return r == -EBADMSG ? reject(reason, size, "PrivateKeyData is not base64") : r;
}

static int64_t integer(const ASN1_INTEGER *number)
{
    int64_t value;
    return number && ASN1_INTEGER_get_int64(&value, number) ? value : INT64_MAX;
}

/* The iterations that opening ALGORITHM takes; INT64_MAX: not a way that is known. */
static int64_t iterations(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *object;
    int type;
    const void *parameter;
    int64_t count = INT64_MAX;
    X509_ALGOR_get0(&object, &type, &parameter, algorithm);
    if (type != V_ASN1_SEQUENCE)
        return count;
    if (OBJ_obj2nid(object) != NID_pbes2) {
        PBEPARAM *simple = ASN1_item_unpack(parameter, ASN1_ITEM_rptr(PBEPARAM));
        if (simple)
            count = integer(simple->iter);
        PBEPARAM_free(simple);
        return count;
    }
    PBE2PARAM *second = ASN1_item_unpack(parameter, ASN1_ITEM_rptr(PBE2PARAM));
    if (second) {
        X509_ALGOR_get0(&object, &type, &parameter, second->keyfunc);
        PBKDF2PARAM *derivation =
            type == V_ASN1_SEQUENCE && OBJ_obj2nid(object) == NID_id_pbkdf2
                ? ASN1_item_unpack(parameter, ASN1_ITEM_rptr(PBKDF2PARAM))
                : NULL;
        if (derivation)
            count = integer(derivation->iter);
        PBKDF2PARAM_free(derivation);
    }
    PBE2PARAM_free(second);
    return count;
}

static int take_key(const struct client_key_library *library, const PKCS12_SAFEBAG *bag,
                    const char *password, struct contents *contents, char *reason, size_t size)
{
    const X509_ALGOR *algorithm = NULL;
    const X509_SIG *shrouded = PKCS12_SAFEBAG_get0_pkcs8(bag);
    if (shrouded)
        X509_SIG_get0(shrouded, &algorithm, NULL);
    if (!algorithm || iterations(algorithm) > ITERATIONS_MOST)
        return reject(reason, size, "the private key is encrypted in an unknown way, or with too "
                                    "many iterations");
    if (contents->key)
        return reject(reason, size, "the PKCS#12 holds more than one private key");
    contents->key_info = PKCS12_decrypt_skey_ex(bag, password, (int)strlen(password),
                                                library->context, NULL);
    if (contents->key_info)
        contents->key = EVP_PKCS82PKEY_ex(contents->key_info, library->context, NULL);
    return contents->key ? 0 : reject(reason, size, "the private key does not decrypt");
}

static int take_bags(const struct client_key_library *library,
                     const STACK_OF(PKCS12_SAFEBAG) *bags, const char *password,
                     struct contents *contents, char *reason, size_t size)
{
    for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++) {
        const PKCS12_SAFEBAG *bag = sk_PKCS12_SAFEBAG_value(bags, i);
        int kind = PKCS12_SAFEBAG_get_nid(bag);
        if (kind == NID_pkcs8ShroudedKeyBag) {
            int r = take_key(library, bag, password, contents, reason, size);
            if (r < 0)
                return r;
        } else if (kind == NID_certBag && !contents->certificate) {
            contents->certificate = PKCS12_SAFEBAG_get1_cert(bag);
        }
    }
    return 0;
}

/* The bags of one safe. NULL: it does not open; *hidden when only legacy ciphers could. */
static STACK_OF(PKCS12_SAFEBAG) *open_safe(const struct client_key_library *library, PKCS7 *safe,
                                           const char *password, bool *hidden)
{
    *hidden = false;
    if (PKCS7_type_is_data(safe))
        return PKCS12_unpack_p7data(safe);
    if (!PKCS7_type_is_encrypted(safe) || !safe->d.encrypted || !safe->d.encrypted->enc_data ||
        iterations(safe->d.encrypted->enc_data->algorithm) > ITERATIONS_MOST)
        return NULL;
    const ASN1_OBJECT *object;
    X509_ALGOR_get0(&object, NULL, NULL, safe->d.encrypted->enc_data->algorithm);
    *hidden = !library->legacy && OBJ_obj2nid(object) == NID_pbe_WithSHA1And40BitRC2_CBC;
    return *hidden ? NULL : PKCS12_unpack_p7encdata(safe, password, (int)strlen(password));
}

static int take_contents(const struct client_key_library *library, PKCS12 *pkcs12,
                         const char *password, struct contents *contents, char *reason, size_t size)
{
    const ASN1_INTEGER *mac_iterations = NULL;
    PKCS12_get0_mac(NULL, NULL, NULL, &mac_iterations, pkcs12);
    if (!PKCS12_mac_present(pkcs12) ||
        (mac_iterations && integer(mac_iterations) > ITERATIONS_MOST))
        return reject(reason, size, "the PKCS#12 has no usable MAC");
    if (!PKCS12_verify_mac(pkcs12, password, (int)strlen(password)))
        return reject(reason, size, "the PKCS#12 does not open with the password");

    STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(pkcs12);
    int r = safes ? 0 : reject(reason, size, "the PKCS#12 is damaged");
    for (int i = 0; r == 0 && i < sk_PKCS7_num(safes); i++) {
        bool hidden;
        STACK_OF(PKCS12_SAFEBAG) *bags =
            open_safe(library, sk_PKCS7_value(safes, i), password, &hidden);
        contents->certificate_hidden = contents->certificate_hidden || hidden;
        if (bags)
            r = take_bags(library, bags, password, contents, reason, size);
        else if (!hidden)
            r = reject(reason, size, "a part of the PKCS#12 does not open");
        sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
    }
    sk_PKCS7_pop_free(safes, PKCS7_free);
    return r;
}

static int check(const struct contents *contents, char *reason, size_t size)
{
    if (!contents->key)
        return reject(reason, size, "the PKCS#12 holds no private key");
    if (!EVP_PKEY_is_a(contents->key, "RSA") || EVP_PKEY_get_bits(contents->key) != KEY_BITS)
        return reject(reason, size, "the private key is not RSA of 2048 bits");
    if (!contents->certificate)
        return contents->certificate_hidden
                   ? 0
                   : reject(reason, size, "the PKCS#12 holds no certificate");
    EVP_PKEY *public_key = X509_get0_pubkey(contents->certificate);
    if (!public_key || EVP_PKEY_eq(public_key, contents->key) != 1)
        return reject(reason, size, "the certificate belongs to another key");
    return 0;
}

static int write_text(struct client_key_bytes *bytes, const char *const pieces[], size_t count)
{
    _cleanup_(BIO) BIO *out = BIO_new(BIO_s_mem());
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (pieces[i][0] && BIO_puts(out, pieces[i]) <= 0)
            return -ENOMEM;
    return key_bytes_take(out, bytes);
}

/*
 * Salt and IV are drawn from the PKCS#12's bytes, which hold random salts of their own: whoever opened a file of it
 * before a restart has pages of these bytes, and a page that comes later must fit.
 */
static bool derive(const struct client_key_library *library, const struct client_key_bytes *pkcs12,
                   unsigned char derived[SALT_SIZE + IV_SIZE])
{
    static const char label[] = "aapfs private_key.pem 1";
    EVP_MD *sha256 = EVP_MD_fetch(library->context, "SHA256", NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = sha256 && context && EVP_DigestInit_ex(context, sha256, NULL) &&
                EVP_DigestUpdate(context, label, sizeof(label)) &&
                EVP_DigestUpdate(context, pkcs12->data, pkcs12->size) &&
                EVP_DigestFinal_ex(context, derived, NULL);
    EVP_MD_CTX_free(context);
    EVP_MD_free(sha256);
    return good;
}

static int write_private_key(const struct client_key_library *library,
                             PKCS8_PRIV_KEY_INFO *key_info, const char *password,
                             const struct client_key_bytes *pkcs12, struct client_key_bytes *bytes)
{
    unsigned char derived[SALT_SIZE + IV_SIZE];
    _cleanup_(BIO) BIO *out = BIO_new(BIO_s_mem());
    if (!out || !derive(library, pkcs12, derived))
        return -ENOMEM;
    X509_ALGOR *algorithm = PKCS5_pbe2_set_iv_ex(library->cipher, PKCS8_ITERATIONS, derived,
                                                 SALT_SIZE, derived + SALT_SIZE, -1,
                                                 library->context);
    /* what it makes owns ALGORITHM */
    _cleanup_(X509_SIG) X509_SIG *encrypted =
        algorithm ? PKCS8_set0_pbe_ex(password, (int)strlen(password), key_info, algorithm,
                                      library->context, NULL)
                  : NULL;
    if (!encrypted)
        X509_ALGOR_free(algorithm);
    if (!encrypted || !PEM_write_bio_PKCS8(out, encrypted))
        return -ENOMEM;
    return key_bytes_take(out, bytes);
}

/* What needs no password. */
static int write_plain_forms(const char *client_key_id, const char *private_key_data,
                             struct client_key *key)
{
    const char *const json[] = {"{\"KeyId\":\"", client_key_id, "\",\"PrivateKeyData\":\"",
                                private_key_data, "\"}\n"};
    const char *const base64[] = {private_key_data, "\n"};
    int r = write_text(&key->json, json, 5);
    if (r == 0)
        r = write_text(&key->private_key_data, base64, 2);
    return r;
}

static int write_forms(const struct client_key_library *library, const struct contents *contents,
                       const char *client_key_id, const char *private_key_data,
                       const char *password, struct client_key *key)
{
    int r = write_plain_forms(client_key_id, private_key_data, key);
    if (r == 0)
        r = write_private_key(library, contents->key_info, password, &key->pkcs12,
                              &key->private_key_pem);
    if (r == 0 && contents->certificate)
        r = key_bytes_of_certificate(contents->certificate, &key->certificate_pem);
    return r;
}

int client_key_open(struct client_key_library *library, const char *client_key_id,
                    const char *private_key_data, const char *password, struct client_key *key,
                    char *reason, size_t size)
{
    struct contents contents = {0};
    *key = (struct client_key){0};
    if (!id_is_valid(client_key_id))
        return reject(reason, size, "the ClientKeyId is not one that can be a name");
    int r = decode(private_key_data, &key->pkcs12, reason, size);

    _cleanup_(PKCS12) PKCS12 *pkcs12 =
        r == 0 ? PKCS12_init_ex(NID_pkcs7_data, library->context, NULL) : NULL;
    const unsigned char *at = key->pkcs12.data;
    if (r == 0 && (!pkcs12 || !d2i_PKCS12(&pkcs12, &at, (long)key->pkcs12.size) ||
                   at != key->pkcs12.data + key->pkcs12.size))
        r = reject(reason, size, "PrivateKeyData is not a PKCS#12");
    if (r == 0)
        r = take_contents(library, pkcs12, password, &contents, reason, size);
    if (r == 0)
        r = check(&contents, reason, size);
    if (r == 0)
        r = write_forms(library, &contents, client_key_id, private_key_data, password, key);
    X509_free(contents.certificate);
    EVP_PKEY_free(contents.key);
    PKCS8_PRIV_KEY_INFO_free(contents.key_info);
    ERR_clear_error();
    if (r < 0)
        client_key_clear(key);
    return r;
}

int client_key_restore(const char *client_key_id, const char *private_key_data,
                       struct client_key_bytes *private_key_pem,
                       struct client_key_bytes *certificate_pem, struct client_key *key)
{
    char reason[64];
    *key = (struct client_key){0};
    int r = decode(private_key_data, &key->pkcs12, reason, sizeof(reason));
    if (r == 0)
        r = write_plain_forms(client_key_id, private_key_data, key);
    if (r < 0) {
        client_key_clear(key);
        return r;
    }
    key->private_key_pem = *private_key_pem;
    key->certificate_pem = *certificate_pem;
    *private_key_pem = *certificate_pem = (struct client_key_bytes){0};
    return 0;
}

static void clear(struct client_key_bytes *bytes)
{
    OPENSSL_clear_free(bytes->data, bytes->size);
    *bytes = (struct client_key_bytes){0};
}

void client_key_clear(struct client_key *key)
{
    clear(&key->json);
    clear(&key->pkcs12);
    clear(&key->private_key_data);
    clear(&key->private_key_pem);
    clear(&key->certificate_pem);
}
