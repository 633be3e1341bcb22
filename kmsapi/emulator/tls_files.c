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

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX about;
    X509V3_set_ctx(&about, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &about, nid, value);
    bool good = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return good;
}

static bool set_name(X509_NAME *name, const char *text)
{
    return name && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0);
}

/* What a strict reader (Python's since 3.13) wants to see. */
static bool add_extensions(X509 *certificate, X509 *issuer)
{
    if (!issuer)
        return add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE") &&
               add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign") &&
               add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
    return add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth") &&
           add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always") &&
           add_extension(certificate, issuer, NID_subject_alt_name, "IP:127.0.0.1,IP:::1,DNS:localhost");
}

/* A certificate for KEY; by ISSUER, or without one a CA's own. */
static X509 *certify(EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *certificate = X509_new();
    if (certificate && X509_set_version(certificate, X509_VERSION_3) &&
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), issuer ? 2 : 1) &&
        set_name(X509_get_subject_name(certificate), issuer ? "kms-emulator" : "kms-emulator's own CA") &&
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate)) &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -60) &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), YEAR_SECONDS) && X509_set_pubkey(certificate, key) &&
        add_extensions(certificate, issuer) &&
        X509_sign(certificate, issuer_key, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    return NULL;
}

struct paths {
    char ca[4096], certificate[4096], key[4096];
};

/* The server's certificate comes with its CA's, as servers send them. */
static bool write_certificates(const struct paths *paths, X509 *ca, X509 *certificate)
{
    _cleanup_(fclose) FILE *ca_file = fopen(paths->ca, "we");
    _cleanup_(fclose) FILE *certificate_file = fopen(paths->certificate, "we");
    return ca_file && certificate_file && PEM_write_X509(ca_file, ca) && PEM_write_X509(certificate_file, certificate) &&
           PEM_write_X509(certificate_file, ca) && fflush(ca_file) == 0 && fflush(certificate_file) == 0;
}

static int make_files(const struct paths *paths)
{
    _cleanup_(EVP_PKEY) EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    _cleanup_(X509) X509 *ca = ca_key ? certify(ca_key, NULL, ca_key) : NULL;
    _cleanup_(X509) X509 *certificate = ca && key ? certify(key, ca, ca_key) : NULL;
    errno = 0;
    int descriptor = open(paths->key, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    _cleanup_(fclose) FILE *key_file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (!certificate || !key_file || !PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) ||
        fflush(key_file) != 0 || !write_certificates(paths, ca, certificate))
        return errno ? -errno : -EIO;
    return 0;
}

/* Whether all of them are there, and the certificate has not ended. */
static bool are_good(const struct paths *paths)
{
    _cleanup_(fclose) FILE *file = fopen(paths->certificate, "re");
    _cleanup_(X509) X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    return certificate && X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0 && access(paths->ca, F_OK) == 0 &&
           access(paths->key, F_OK) == 0;
}

int tls_files_self_signed(const char *directory, struct tls_files *files, char *reason, size_t size)
{
    struct paths paths;
    snprintf(paths.ca, sizeof(paths.ca), "%s/ca.pem", directory);
    snprintf(paths.certificate, sizeof(paths.certificate), "%s/certificate.pem", directory);
    snprintf(paths.key, sizeof(paths.key), "%s/key.pem", directory);
    int r = mkdir(directory, 0700) < 0 && errno != EEXIST ? -errno : 0;
    if (r == 0 && !are_good(&paths))
        r = make_files(&paths);
    if (r < 0) {
        snprintf(reason, size, "%s: %s", directory, strerror(-r));
        return r;
    }
    return tls_files_read(paths.certificate, paths.key, files, reason, size);
}
