/*
 * Client keys as KMS makes them: RSA-2048 with a self-signed certificate, in a PKCS#12 of the shape
 * that a public sample has (certificate in RC2-40 or 3DES first, key in 3DES, SHA-1 MAC of one
 * iteration, localKeyID, no friendlyName). Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct key_maker;

/*
 * POOL 0: a fresh RSA key each time; else POOL keys, made at once, are handed out in turn: one takes
 * a fifth of a second. POOL_FILE (NULL: none) keeps them between starts, as PEM.
 * 0, or negative errno and REASON.
 */
int key_maker_new(unsigned int pool, const char *pool_file, bool rc2, struct key_maker **maker,
                  char *reason, size_t size);
void key_maker_free(struct key_maker *maker);

struct made_key {
    char id[42];            /* KAAP. and a UUID */
    char *private_key_data; /* base64 of the PKCS#12, one line */
    char *certificate_pem;
};

struct key_order {
    const char *aap_name, *password;
    int64_t not_before, not_after; /* seconds since 1970 */
    bool other_certificate;        /* a fault: the certificate belongs to another key */
};

/* 0 and *KEY (made_key_clear it), or -EIO: OpenSSL does not make it. */
int key_maker_make(struct key_maker *maker, const struct key_order *order, struct made_key *key);
void made_key_clear(struct made_key *key);

/* A random UUID, 36 digits. 0 or -EIO. */
int key_maker_uuid(char text[static 37]);
