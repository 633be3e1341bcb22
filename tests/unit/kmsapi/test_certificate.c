/* Certificates in the forms in which KMS, its documents and tools around them write PEM. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "kmsapi/certificate.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"

static char lines[4096];  /* the base64 of a certificate as OpenSSL breaks it, without the two marks */
static char single[4096]; /* on one line */
static char pem[16384 + 2];

static int make_certificate(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    BIO *out = BIO_new(BIO_s_mem());
    char *text;
    if (!key || !certificate || !out)
        return -1;
    X509_set_version(certificate, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    if (!X509_sign(certificate, key, EVP_sha256()) || !PEM_write_bio_X509(out, certificate))
        return -1;
    long size = BIO_get_mem_data(out, &text);
    int begin = (int)sizeof(BEGIN), end = (int)sizeof(END) + 1;
    snprintf(lines, sizeof(lines), "%.*s", (int)size - begin - end, text + begin);
    size_t count = 0;
    for (const char *from = lines; *from; from++)
        if (*from != '\n')
            single[count++] = *from;
    BIO_free(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return lines[0] && single[0] ? 0 : -1;
}

/* Lines of LENGTH, each but the last ended by ENDING. */
static const char *broken(size_t length, const char *ending)
{
    static char text[8192];
    text[0] = '\0';
    for (size_t i = 0; i < strlen(single); i += length)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s", i ? ending : "", (int)length, single + i);
    return text;
}

static void check(const char *what, int wanted)
{
    struct client_key_bytes bytes, again;
    int r = certificate_read(pem, &bytes);
    if (r != wanted)
        fail_msg("%s: %d: %.80s", what, r, pem);
    if (r == 0) { /* whatever the form: always the same comes out */
        assert_int_equal(certificate_read((const char *)bytes.data, &again), 0);
        assert_int_equal(bytes.size, again.size);
        assert_memory_equal(bytes.data, again.data, bytes.size);
        assert_non_null(strstr((const char *)bytes.data, lines));
        OPENSSL_free(again.data);
    }
    OPENSSL_free(bytes.data);
}

static void every_form_of_pem_is_read(void **state)
{
    static const struct {
        const char *name, *begin, *between, *end; /* BETWEEN: of lines of 64; NULL: one line */
    } forms[] = {
        {"as OpenSSL writes it", BEGIN "\n", "\n", "\n" END "\n"},
        {"no newline before its end", BEGIN "\n", "\n", END},
        {"backslash and n, as the documents print it", BEGIN "\\n", "\\n", "\\n" END "\\n"},
        {"the documents' own sample: one line, none before its end", BEGIN "\\n", NULL, END},
        {"one line", BEGIN "\n", NULL, "\n" END},
        {"no line at all", BEGIN, NULL, END},
        {"CRLF", BEGIN "\r\n", "\r\n", "\r\n" END "\r\n"},
        {"backslashes for CRLF", BEGIN "\\r\\n", "\\r\\n", "\\r\\n" END "\\r\\n"},
        {"blanks for line ends", BEGIN " ", " ", " " END " "},
        {"text around it", "subject=x\n" BEGIN "\n", "\n", "\n" END "\nmore\n"},
        {"indented", "  " BEGIN "\n    ", "\n    ", "\n  " END "\n"},
        {"another behind it", BEGIN "\n", "\n", "\n" END "\n" BEGIN "\nQUJD\n" END "\n"},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        snprintf(pem, sizeof(pem), "%s%s%s", forms[i].begin, forms[i].between ? broken(64, forms[i].between) : single,
                 forms[i].end);
        check(forms[i].name, 0);
    }
    snprintf(pem, sizeof(pem), BEGIN "\n%s\n" END, broken(76, "\n"));
    check("lines of 76", 0);
}

static void what_is_no_certificate_is_refused(void **state)
{
    static const char *const texts[] = {
        "", "MIIDcjCC", BEGIN, END, BEGIN END, BEGIN "\n\n" END, END "\nQUJD\n" BEGIN, BEGIN "\nQUJD\n" END,
        BEGIN "\nMIIDcjCCAlqgAwIBAgIQT/sAVRxwYp54mrw****" END, BEGIN "\nQUJ\n" END, BEGIN "\nQ=JD\n" END, BEGIN "\n====\n" END,
        "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        snprintf(pem, sizeof(pem), "%s", texts[i]);
        check("none", -EINVAL);
    }
    snprintf(pem, sizeof(pem), BEGIN "\n%.*s\n" END, (int)strlen(single) - 8, single);
    check("cut off", -EINVAL);
    snprintf(pem, sizeof(pem), BEGIN "\n%sQUJD\n" END, single);
    check("with more behind it", -EINVAL);
    memset(pem, 'A', sizeof(pem) - 1);
    memcpy(pem, BEGIN, strlen(BEGIN));
    check("endless", -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_pem_is_read),
        cmocka_unit_test(what_is_no_certificate_is_refused),
    };
    return cmocka_run_group_tests(tests, make_certificate, NULL);
}
