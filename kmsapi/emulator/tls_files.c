#include "kmsapi/emulator/tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "kmsapi/openssl_cleanup.h"

enum { FILE_MOST = 1 << 16, YEAR_SECONDS = 365 * 86400 };

static int read_text(const char *path, char **text, char *reason, size_t size)
{
    _cleanup_(fclose) FILE *file = fopen(path, "re");
    char *read = file ? calloc(1, FILE_MOST + 1) : NULL;
    if (!read || fread(read, 1, FILE_MOST, file) == 0) {
        int r = errno ? -errno : -EINVAL;
        snprintf(reason, size, "%s: %s", path, strerror(-r));
        free(read);
        return r;
    }
    *text = read;
    return 0;
}

int tls_files_read(const char *certificate, const char *key, struct tls_files *files, char *reason,
                   size_t size)
{
    *files = (struct tls_files){0};
    int r = read_text(certificate, &files->certificate_pem, reason, size);
    if (r == 0)
        r = read_text(key, &files->key_pem, reason, size);
    if (r < 0)
        free(files->certificate_pem);
    return r;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool good = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return good;
}

static X509 *self_sign(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_NAME *name = certificate ? X509_get_subject_name(certificate) : NULL;
    if (name && X509_set_version(certificate, X509_VERSION_3) &&
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                   (const unsigned char *)"kms-emulator", -1, -1, 0) &&
        X509_set_issuer_name(certificate, name) &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -60) &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), YEAR_SECONDS) &&
        X509_set_pubkey(certificate, key) &&
        add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE") &&
        add_extension(certificate, NID_subject_alt_name, "IP:127.0.0.1,IP:::1,DNS:localhost") &&
        X509_sign(certificate, key, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static int write_pair(const char *certificate_path, const char *key_path)
{
    _cleanup_(EVP_PKEY) EVP_PKEY *key = EVP_RSA_gen(2048);
    _cleanup_(X509) X509 *certificate = key ? self_sign(key) : NULL;
    int descriptor = open(key_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    _cleanup_(fclose) FILE *key_file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    _cleanup_(fclose) FILE *certificate_file = fopen(certificate_path, "we");
    if (!certificate || !key_file || !certificate_file ||
        !PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) ||
        !PEM_write_X509(certificate_file, certificate))
        return errno ? -errno : -EIO;
    return 0;
}

int tls_files_self_signed(const char *directory, struct tls_files *files, char *reason, size_t size)
{
    char certificate[4096], key[4096];
    snprintf(certificate, sizeof(certificate), "%s/certificate.pem", directory);
    snprintf(key, sizeof(key), "%s/key.pem", directory);
    if (access(certificate, F_OK) < 0 || access(key, F_OK) < 0) {
        int r = write_pair(certificate, key);
        if (r < 0) {
            snprintf(reason, size, "%s: %s", directory, strerror(-r));
            return r;
        }
    }
    return tls_files_read(certificate, key, files, reason, size);
}
