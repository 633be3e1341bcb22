/*
 * The client key itself: opens and checks the PKCS#12 that KMS hands out and writes its other
 * forms. Any thread, but one call at a time on a client_key_library.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * OpenSSL's providers in a library context of our own: default, and legacy where it is installed
 * (RC2-40, in which KMS encrypts the certificate).
 */
struct client_key_library;

/* NULL when OpenSSL's default provider cannot be loaded. WITH_LEGACY false: do without (tests). */
struct client_key_library *client_key_library_new(bool with_legacy);
void client_key_library_free(struct client_key_library *library);

/* Bytes with their size. Secret ones are freed with a wipe; DATA is also NUL-terminated. */
struct client_key_bytes {
    unsigned char *data;
    size_t size;
};

/* Every form that is shown as a file, as exact file contents (text files end in one newline). */
struct client_key {
    struct client_key_bytes json;             /* {"KeyId":"…","PrivateKeyData":"…"}\n */
    struct client_key_bytes pkcs12;           /* DER */
    struct client_key_bytes private_key_data; /* base64 as KMS returned it, \n */
    /* encrypted PKCS#8: PBES2, PBKDF2, AES-256-CBC; the same PKCS#12 gives the same bytes each time */
    struct client_key_bytes private_key_pem;
    struct client_key_bytes certificate_pem;  /* empty when it could not be opened (see below) */
};

/*
 * Opens PRIVATE_KEY_DATA (base64 PKCS#12, as in CreateClientKey's answer) with PASSWORD and fills
 * *KEY; free it with client_key_clear.
 *
 * Checks: base64 strict, one line; the MAC; the private key decrypts and is RSA of 2048 bits; the
 * certificate's public key is its own. Without the legacy provider an RC2-40 certificate cannot
 * be opened: the rest is checked and certificate_pem is empty. CLIENT_KEY_ID must be 1 to 128
 * bytes of A-Z a-z 0-9 . _ - and not begin with a dot.
 *
 * 0; -EKEYREJECTED and REASON (one line, nothing secret) when it is no usable key; -ENOMEM.
 */
int client_key_open(struct client_key_library *library, const char *client_key_id,
                    const char *private_key_data, const char *password, struct client_key *key,
                    char *reason, size_t size);

/*
 * The same *KEY without a password, in microseconds: what client_key_open made of it before, PRIVATE_KEY_PEM and
 * CERTIFICATE_PEM, is taken over (left empty); the other forms are in PRIVATE_KEY_DATA. 0; -EKEYREJECTED (not base64);
 * -ENOMEM: the two are untouched then.
 */
int client_key_restore(const char *client_key_id, const char *private_key_data,
                       struct client_key_bytes *private_key_pem,
                       struct client_key_bytes *certificate_pem, struct client_key *key);

/* Wipes and frees; safe on a zeroed struct. */
void client_key_clear(struct client_key *key);
