/*
 * The forms of a client key that cost milliseconds to make from its PKCS#12, sealed (envelope.h) in a file beside its
 * record: a cache, and the sign that the key was judged good. Pure, any thread.
 */
#pragma once

#include "fs/store/envelope.h"
#include "kmsapi/client_key.h"

struct forms {
    struct client_key_bytes private_key_pem;
    struct client_key_bytes certificate_pem; /* empty: this key has none that can be read */
};

/* *BYTES (OPENSSL_clear_free it) gets the whole file. 0, -ENOMEM, -EIO, -EMSGSIZE. */
int forms_close(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner, const char *aap_name,
                const char *client_key_id, const struct forms *forms, unsigned char **bytes, size_t *size);

/* 0 and *FORMS; errors as record_open's. */
int forms_open(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner, const char *aap_name,
               const char *client_key_id, const unsigned char *bytes, size_t size, struct forms *forms);

/* Wipes and frees; safe on a zeroed struct. */
void forms_clear(struct forms *forms);
