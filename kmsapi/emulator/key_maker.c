#include "kmsapi/emulator/key_maker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "kmsapi/openssl_cleanup.h"

enum { POOL_MOST = 1000, SERIAL_BITS = 128, PBE_ITERATIONS = 2048, CN_MOST = 64, MAC_SALT_SIZE = 8 };

struct key_maker {
    int certificate_cipher;
    OSSL_PROVIDER *providers[2]; /* default, legacy */
    pthread_mutex_t lock;
    unsigned int next; /* under the lock */
    unsigned int pool; /* keys in use; 0: a fresh one each time */
    EVP_PKEY *keys[POOL_MOST];
};

DEFINE_CLEANUP(key_maker, struct key_maker *, key_maker_free)

static int load_pool(struct key_maker *maker, unsigned int wanted, const char *path)
{
    _cleanup_(fclose) FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? 0 : -errno;
    while (maker->pool < wanted) {
        EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        if (!key)
            return 0;
        maker->keys[maker->pool++] = key;
    }
    return 0;
}

/* Written beside PATH and renamed: two emulators may start at once. */
static int save_pool(const struct key_maker *maker, const char *path)
{
    _cleanup_(free) char *temporary = NULL;
    if (asprintf(&temporary, "%s.%d", path, (int)getpid()) < 0) {
        temporary = NULL;
        return -ENOMEM;
    }
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (!file)
        return -errno;
    bool good = true;
    for (unsigned int i = 0; good && i < maker->pool; i++)
        good = PEM_write_PrivateKey(file, maker->keys[i], NULL, NULL, 0, NULL, NULL);
    good = fclose(file) == 0 && good && rename(temporary, path) == 0;
    int r = good ? 0 : errno ? -errno : -EIO;
    if (!good)
        unlink(temporary);
    return r;
}

static int fill_pool(struct key_maker *maker, unsigned int wanted, const char *path)
{
    int r = path ? load_pool(maker, wanted, path) : 0;
    bool grew = maker->pool < wanted;
    while (r == 0 && maker->pool < wanted) {
        EVP_PKEY *key = EVP_RSA_gen(2048);
        if (!key)
            return -ENOMEM;
        maker->keys[maker->pool++] = key;
    }
    return r == 0 && grew && path ? save_pool(maker, path) : r;
}

int key_maker_new(unsigned int pool, const char *pool_file, bool rc2, struct key_maker **maker,
                  char *reason, size_t size)
{
    _cleanup_(key_maker) struct key_maker *made = calloc(1, sizeof(*made));
    if (!made || pool > POOL_MOST) {
        snprintf(reason, size, "a pool has at most %d keys", POOL_MOST);
        return -EINVAL;
    }
    pthread_mutex_init(&made->lock, NULL);
    /* RC2-40 is only there: what we make, KMS makes so, and a client has to read it */
    made->providers[0] = OSSL_PROVIDER_load(NULL, "default");
    made->providers[1] = rc2 ? OSSL_PROVIDER_load(NULL, "legacy") : NULL;
    if (!made->providers[0] || (rc2 && !made->providers[1])) {
        snprintf(reason, size, "OpenSSL's legacy provider cannot be loaded: use --pkcs12 3des");
        return -ENOENT;
    }
    made->certificate_cipher =
        rc2 ? NID_pbe_WithSHA1And40BitRC2_CBC : NID_pbe_WithSHA1And3_Key_TripleDES_CBC;
    int r = fill_pool(made, pool, pool_file);
    if (r < 0) {
        snprintf(reason, size, "the key pool %s: %s", pool_file ? pool_file : "", strerror(-r));
        return r;
    }
    *maker = steal_pointer(&made);
    return 0;
}

void key_maker_free(struct key_maker *maker)
{
    if (!maker)
        return;
    for (unsigned int i = 0; i < maker->pool; i++)
        EVP_PKEY_free(maker->keys[i]);
    for (size_t i = 0; i < 2; i++)
        if (maker->providers[i])
            OSSL_PROVIDER_unload(maker->providers[i]);
    pthread_mutex_destroy(&maker->lock);
    free(maker);
}

static EVP_PKEY *next_key(struct key_maker *maker)
{
    if (maker->pool == 0)
        return EVP_RSA_gen(2048);
    pthread_mutex_lock(&maker->lock);
    EVP_PKEY *key = maker->keys[maker->next++ % maker->pool];
    pthread_mutex_unlock(&maker->lock);
    EVP_PKEY_up_ref(key);
    return key;
}

static bool set_serial(X509 *certificate)
{
    BIGNUM *serial = BN_new();
    bool good = serial && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
                BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate));
    BN_free(serial);
    return good;
}

/* As much of an AAP's name as a CN holds; what KMS does with a longer one is not known. */
static int cn_size(const char *aap_name)
{
    int size = (int)strnlen(aap_name, CN_MOST + 1);
    if (size > CN_MOST)
        for (size = CN_MOST; size > 0 && ((unsigned char)aap_name[size] & 0xc0) == 0x80; size--)
            ; /* within a character of UTF-8 */
    return size;
}

static bool set_names(X509 *certificate, const char *aap_name)
{
    const struct {
        const char *field, *value;
    } parts[] = {{"C", "CN"},       {"ST", "Zhejiang"}, {"L", "Hangzhou"},
                 {"O", "Alibaba"},  {"OU", "Aliyun"},   {"CN", aap_name}};
    X509_NAME *name = X509_get_subject_name(certificate);
    bool good = true;
    for (size_t i = 0; good && i < sizeof(parts) / sizeof(parts[0]); i++)
        good = X509_NAME_add_entry_by_txt(name, parts[i].field, MBSTRING_UTF8,
                                          (const unsigned char *)parts[i].value,
                                          cn_size(parts[i].value), -1, 0);
    return good && X509_set_issuer_name(certificate, name);
}

static bool set_key_usage(X509 *certificate)
{
    X509_EXTENSION *usage =
        X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, "critical,digitalSignature");
    bool good = usage && X509_add_ext(certificate, usage, -1);
    X509_EXTENSION_free(usage);
    return good;
}

static X509 *certify(EVP_PKEY *key, const struct key_order *order)
{
    X509 *certificate = X509_new();
    if (certificate && X509_set_version(certificate, X509_VERSION_3) && set_serial(certificate) &&
        set_names(certificate, order->aap_name) &&
        ASN1_TIME_set(X509_getm_notBefore(certificate), order->not_before) &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), order->not_after) &&
        X509_set_pubkey(certificate, key) && set_key_usage(certificate) &&
        X509_sign(certificate, key, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    return NULL;
}

/* PKCS12_create refuses a certificate of another key; the fault needs one. */
static PKCS12 *pack_foreign(const struct key_maker *maker, const struct key_order *order,
                            EVP_PKEY *key, X509 *certificate)
{
    STACK_OF(PKCS7) *safes = NULL;
    STACK_OF(PKCS12_SAFEBAG) *certificates = NULL, *keys = NULL;
    PKCS12 *pkcs12 = NULL;
    if (PKCS12_add_cert(&certificates, certificate) &&
        PKCS12_add_safe(&safes, certificates, maker->certificate_cipher, PBE_ITERATIONS,
                        order->password) &&
        PKCS12_add_key(&keys, key, 0, PBE_ITERATIONS, NID_pbe_WithSHA1And3_Key_TripleDES_CBC,
                       order->password) &&
        PKCS12_add_safe(&safes, keys, -1, 0, NULL))
        pkcs12 = PKCS12_add_safes(safes, 0);
    sk_PKCS12_SAFEBAG_pop_free(certificates, PKCS12_SAFEBAG_free);
    sk_PKCS12_SAFEBAG_pop_free(keys, PKCS12_SAFEBAG_free);
    sk_PKCS7_pop_free(safes, PKCS7_free);
    return pkcs12;
}

/* The MAC as KMS's own are: SHA-1, one iteration, and no parameters where OpenSSL 3 writes a NULL. */
static bool set_mac(PKCS12 *pkcs12, const char *password)
{
    const X509_ALGOR *digest = NULL;
    if (!PKCS12_set_mac(pkcs12, password, -1, NULL, MAC_SALT_SIZE, 1, EVP_sha1()))
        return false;
    PKCS12_get0_mac(NULL, &digest, NULL, NULL, pkcs12);
    return X509_ALGOR_set0((X509_ALGOR *)(uintptr_t)digest, OBJ_nid2obj(NID_sha1), V_ASN1_UNDEF, NULL);
}

static char *pack(struct key_maker *maker, const struct key_order *order, EVP_PKEY *key,
                  X509 *certificate)
{
    _cleanup_(PKCS12) PKCS12 *pkcs12 =
        order->other_certificate
            ? pack_foreign(maker, order, key, certificate)
            : PKCS12_create(order->password, NULL, key, certificate, NULL,
                            NID_pbe_WithSHA1And3_Key_TripleDES_CBC, maker->certificate_cipher,
                            PBE_ITERATIONS, -1, 0);
    unsigned char *der = NULL;
    if (!pkcs12 || !set_mac(pkcs12, order->password))
        return NULL;
    int size = i2d_PKCS12(pkcs12, &der);
    char *base64 = size > 0 ? malloc(((size_t)size + 2) / 3 * 4 + 1) : NULL;
    if (base64)
        EVP_EncodeBlock((unsigned char *)base64, der, size);
    OPENSSL_free(der);
    return base64;
}

static char *certificate_to_pem(X509 *certificate)
{
    _cleanup_(BIO) BIO *text = BIO_new(BIO_s_mem());
    BUF_MEM *memory = NULL;
    if (!text || !PEM_write_bio_X509(text, certificate))
        return NULL;
    BIO_get_mem_ptr(text, &memory);
    return strndup(memory->data, memory->length);
}

int key_maker_uuid(char text[static 37])
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return -EIO;
    bytes[6] = (bytes[6] & 0x0f) | 0x40; /* RFC 4122: version 4, variant 1 */
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    char *out = text;
    for (size_t i = 0; i < sizeof(bytes); i++)
        out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    return 0;
}

int key_maker_make(struct key_maker *maker, const struct key_order *order, struct made_key *key)
{
    *key = (struct made_key){0};
    char uuid[37] = "";
    _cleanup_(EVP_PKEY) EVP_PKEY *pair = next_key(maker);
    _cleanup_(EVP_PKEY) EVP_PKEY *other = NULL;
    if (order->other_certificate)
        other = maker->pool > 1 ? next_key(maker) : EVP_RSA_gen(2048);
    _cleanup_(X509) X509 *certificate = pair ? certify(other ? other : pair, order) : NULL;
    if (certificate && key_maker_uuid(uuid) == 0) {
        snprintf(key->id, sizeof(key->id), "KAAP.%s", uuid);
        key->private_key_data = pack(maker, order, pair, certificate);
        key->certificate_pem = certificate_to_pem(certificate);
    }
    if (key->private_key_data && key->certificate_pem)
        return 0;
    made_key_clear(key);
    return -EIO;
}

void made_key_clear(struct made_key *key)
{
    free(key->private_key_data);
    free(key->certificate_pem);
    *key = (struct made_key){0};
}
