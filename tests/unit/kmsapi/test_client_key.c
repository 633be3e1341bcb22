/* PKCS#12 as KMS makes it, and everything that it must not be. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "kmsapi/client_key.h"

static const char password[] = "A~!@#$%^&*?_-9z";
static const char id[] = "KAAP.66abf237-63f6-4625-b8cf-47e1086e0000";
static EVP_PKEY *rsa, *other, *small, *elliptic;
static struct client_key_library *library, *without_legacy;

static bool null_in_mac; /* as OpenSSL 3 writes it, and KMS does not */

static X509 *certify(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

/* base64 of a PKCS#12; free() it. CERTIFIED NULL: no certificate. */
static char *make(EVP_PKEY *key, EVP_PKEY *certified, const char *with, int certificate_cipher,
                  int key_cipher, int iterations)
{
    X509 *certificate = certified ? certify(certified) : NULL;
    PKCS12 *pkcs12 = PKCS12_create(with, NULL, key, NULL, NULL, key_cipher, -1, iterations, -1, 0);
    if (certificate && key == certified) {
        PKCS12_free(pkcs12);
        pkcs12 = PKCS12_create(with, NULL, key, certificate, NULL, key_cipher, certificate_cipher,
                               iterations, -1, 0);
    } else if (certificate) {
        STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(pkcs12);
        STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
        PKCS12_add_cert(&bags, certificate);
        PKCS12_add_safe(&safes, bags, certificate_cipher, 0, with);
        assert_true(PKCS12_pack_authsafes(pkcs12, safes));
        sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
        sk_PKCS7_pop_free(safes, PKCS7_free);
    }
    assert_non_null(pkcs12);
    assert_true(PKCS12_set_mac(pkcs12, with, -1, NULL, 8, 1, EVP_sha1()));
    const X509_ALGOR *digest;
    PKCS12_get0_mac(NULL, &digest, NULL, NULL, pkcs12);
    if (!null_in_mac)
        X509_ALGOR_set0((X509_ALGOR *)(uintptr_t)digest, OBJ_nid2obj(NID_sha1), V_ASN1_UNDEF, NULL);
    unsigned char *der = NULL;
    int size = i2d_PKCS12(pkcs12, &der);
    char *base64 = malloc((size_t)(size + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)base64, der, size);
    OPENSSL_free(der);
    PKCS12_free(pkcs12);
    X509_free(certificate);
    return base64;
}

enum { TRIPLE = NID_pbe_WithSHA1And3_Key_TripleDES_CBC, RC2 = NID_pbe_WithSHA1And40BitRC2_CBC };

static void opens_what_kms_makes_and_writes_its_forms(void **state)
{
    char reason[256] = "", expected[8192];
    struct client_key key;
    char *data = make(rsa, rsa, password, RC2, TRIPLE, 2048);
    int r = client_key_open(library, id, data, password, &key, reason, sizeof(reason));
    assert_string_equal(reason, "");
    assert_int_equal(r, 0);
    snprintf(expected, sizeof(expected), "{\"KeyId\":\"%s\",\"PrivateKeyData\":\"%s\"}\n", id, data);
    assert_string_equal((char *)key.json.data, expected);
    assert_int_equal(key.json.size, strlen(expected));
    snprintf(expected, sizeof(expected), "%s\n", data);
    assert_string_equal((char *)key.private_key_data.data, expected);

    /* the default provider alone opens the PEM */
    BIO *in = BIO_new_mem_buf(key.private_key_pem.data, (int)key.private_key_pem.size);
    EVP_PKEY *opened = PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)(uintptr_t)password);
    assert_non_null(opened);
    assert_int_equal(EVP_PKEY_eq(opened, rsa), 1);
    EVP_PKEY_free(opened);
    BIO_free(in);
    in = BIO_new_mem_buf(key.certificate_pem.data, (int)key.certificate_pem.size);
    X509 *certificate = PEM_read_bio_X509(in, NULL, NULL, NULL);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(certificate), rsa), 1);
    X509_free(certificate);
    BIO_free(in);
    client_key_clear(&key);

    /* without RC2 the key is checked all the same */
    assert_int_equal(client_key_open(without_legacy, id, data, password, &key, reason,
                                     sizeof(reason)), 0);
    assert_null(key.certificate_pem.data);
    assert_non_null(key.private_key_pem.data);
    client_key_clear(&key);
    assert_int_equal(client_key_open(without_legacy, id, data, "wrong-pw1", &key, reason,
                                     sizeof(reason)), -EKEYREJECTED);
    free(data);
}

static void opened(struct client_key_library *with, const char *data, struct client_key *key)
{
    char reason[256] = "";
    assert_int_equal(client_key_open(with, id, data, password, key, reason, sizeof(reason)), 0);
}

static void same(const struct client_key_bytes *a, const struct client_key_bytes *b)
{
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size + 1);
}

/* The salt and IV of an encrypted PKCS#8, as they stand in it. */
static void salt_of(const struct client_key_bytes *pem, unsigned char out[32])
{
    BIO *in = BIO_new_mem_buf(pem->data, (int)pem->size);
    X509_SIG *encrypted = PEM_read_bio_PKCS8(in, NULL, NULL, NULL);
    const X509_ALGOR *algorithm;
    const void *parameter;
    int type;
    X509_SIG_get0(encrypted, &algorithm, NULL);
    X509_ALGOR_get0(NULL, &type, &parameter, algorithm);
    PBE2PARAM *second = ASN1_item_unpack(parameter, ASN1_ITEM_rptr(PBE2PARAM));
    X509_ALGOR_get0(NULL, &type, &parameter, second->encryption);
    const ASN1_OCTET_STRING *iv = parameter;
    assert_int_equal(ASN1_STRING_length(iv), 16);
    memcpy(out, ASN1_STRING_get0_data(iv), 16);
    X509_ALGOR_get0(NULL, &type, &parameter, second->keyfunc);
    PBKDF2PARAM *derivation = ASN1_item_unpack(parameter, ASN1_ITEM_rptr(PBKDF2PARAM));
    assert_int_equal(ASN1_STRING_length(derivation->salt->value.octet_string), 16);
    memcpy(out + 16, ASN1_STRING_get0_data(derivation->salt->value.octet_string), 16);
    PBKDF2PARAM_free(derivation);
    PBE2PARAM_free(second);
    X509_SIG_free(encrypted);
    BIO_free(in);
}

static void the_same_pkcs12_gives_the_same_bytes(void **state)
{
    struct client_key first, again, third;
    unsigned char salts[3][32];
    char *data = make(rsa, rsa, password, RC2, TRIPLE, 2048);
    char *fresh = make(rsa, rsa, password, RC2, TRIPLE, 2048); /* the same key, other salts */
    opened(library, data, &first);
    opened(library, data, &again);
    opened(library, fresh, &third);
    same(&first.private_key_pem, &again.private_key_pem);
    salt_of(&first.private_key_pem, salts[0]);
    salt_of(&third.private_key_pem, salts[1]);
    assert_memory_not_equal(salts[0], salts[1], 16);
    assert_memory_not_equal(salts[0] + 16, salts[1] + 16, 16);
    assert_memory_not_equal(salts[0], salts[0] + 16, 16);
    client_key_clear(&third);
    client_key_clear(&again);

    /* restored from two of its forms it is the same in all */
    opened(library, data, &again);
    struct client_key_bytes pem = again.private_key_pem, certificate = again.certificate_pem;
    again.private_key_pem = again.certificate_pem = (struct client_key_bytes){0};
    assert_int_equal(client_key_restore(id, "AAA", &pem, &certificate, &third), -EKEYREJECTED);
    assert_int_equal(client_key_restore(id, data, &pem, &certificate, &third), 0);
    assert_null(pem.data);
    assert_null(certificate.data);
    same(&first.json, &third.json);
    same(&first.pkcs12, &third.pkcs12);
    same(&first.private_key_data, &third.private_key_data);
    same(&first.private_key_pem, &third.private_key_pem);
    same(&first.certificate_pem, &third.certificate_pem);
    client_key_clear(&first);
    client_key_clear(&again);
    client_key_clear(&third);
    free(data);
    free(fresh);
}

static void opens_other_ciphers(void **state)
{
    static const int ciphers[][2] = {{TRIPLE, TRIPLE}, {NID_aes_256_cbc, NID_aes_256_cbc}};
    for (size_t i = 0; i < 2; i++) {
        char reason[256] = "";
        struct client_key key;
        char *data = make(rsa, rsa, password, ciphers[i][0], ciphers[i][1], 2048);
        assert_int_equal(client_key_open(without_legacy, id, data, password, &key, reason,
                                         sizeof(reason)), 0);
        assert_non_null(key.certificate_pem.data);
        client_key_clear(&key);
        free(data);
    }
}

static void opens_a_mac_with_and_without_null_parameters(void **state)
{
    struct client_key key;
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        null_in_mac = i == 1;
        char *data = make(rsa, rsa, password, RC2, TRIPLE, 2048);
        null_in_mac = false;
        opened(library, data, &key);
        sizes[i] = key.pkcs12.size;
        assert_true(key.certificate_pem.size > 0);
        client_key_clear(&key);
        opened(without_legacy, data, &key);
        client_key_clear(&key);
        free(data);
    }
    assert_int_equal(sizes[1] - sizes[0], 2);
}

static void rejected(const char *key_id, const char *data, const char *with, const char *expected)
{
    char reason[256] = "";
    struct client_key key;
    int r = client_key_open(library, key_id, data, with, &key, reason, sizeof(reason));
    if (r != -EKEYREJECTED || !strstr(reason, expected))
        fail_msg("%d \"%s\", expected \"%s\"", r, reason, expected);
    assert_null(key.pkcs12.data);
}

static void rejects_what_is_no_usable_key(void **state)
{
    const struct {
        EVP_PKEY *key, *certified;
        const char *with;
        int iterations;
        const char *reason;
    } cases[] = {
        {rsa, rsa, "wrong-pw1", 2048, "does not open with the password"},
        {rsa, other, password, 2048, "another key"},
        {small, small, password, 2048, "not RSA of 2048"},
        {elliptic, elliptic, password, 2048, "not RSA of 2048"},
        {rsa, NULL, password, 2048, "no certificate"},
        {rsa, rsa, password, 1000001, "iterations"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *data = make(cases[i].key, cases[i].certified, cases[i].with, -1, TRIPLE,
                          cases[i].iterations);
        rejected(id, data, password, cases[i].reason);
        free(data);
    }
}

static void rejects_damaged_data(void **state)
{
    char *data = make(rsa, rsa, password, TRIPLE, TRIPLE, 2048);
    size_t size = strlen(data);
    static const char *const ids[] = {"", ".x", "a/b", "a b", "a\n"};
    for (size_t i = 0; i < 5; i++)
        rejected(ids[i], data, password, "ClientKeyId");
    rejected(id, "", password, "base64");
    rejected(id, "AAA", password, "base64");
    rejected(id, "AA==AAAA", password, "base64");
    rejected(id, "AB==", password, "base64");
    rejected(id, "AAAA", password, "not a PKCS#12");
    data[size / 2] = '\n';
    rejected(id, data, password, "base64");
    data[size / 2] = data[size / 2 + 1] == 'A' ? 'B' : 'A';
    data[size / 8 * 4] = '\0';
    rejected(id, data, password, "not a PKCS#12");
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_kms_makes_and_writes_its_forms),
        cmocka_unit_test(the_same_pkcs12_gives_the_same_bytes),
        cmocka_unit_test(opens_other_ciphers),
        cmocka_unit_test(opens_a_mac_with_and_without_null_parameters),
        cmocka_unit_test(rejects_what_is_no_usable_key),
        cmocka_unit_test(rejects_damaged_data),
    };
    /* this process makes RC2 by itself; what it tests has contexts of its own */
    OSSL_PROVIDER *standard = OSSL_PROVIDER_load(NULL, "default");
    OSSL_PROVIDER *legacy = OSSL_PROVIDER_load(NULL, "legacy");
    rsa = EVP_RSA_gen(2048);
    other = EVP_RSA_gen(2048);
    small = EVP_RSA_gen(1024);
    elliptic = EVP_EC_gen("P-256");
    library = client_key_library_new(true);
    without_legacy = client_key_library_new(false);
    if (!legacy || !rsa || !other || !small || !elliptic || !library || !without_legacy)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    client_key_library_free(library);
    client_key_library_free(without_legacy);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other);
    EVP_PKEY_free(small);
    EVP_PKEY_free(elliptic);
    OSSL_PROVIDER_unload(legacy);
    OSSL_PROVIDER_unload(standard);
    return failed;
}
