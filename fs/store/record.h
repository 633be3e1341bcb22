/*
 * One client key as it is kept on disk, sealed (envelope.h). The same form, without a key, is an intent: what was
 * asked for. Pure, any thread; jansson must wipe what it frees (wiping_memory.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/store/envelope.h"

enum { RECORD_SIZE_MOST = ENVELOPE_SIZE_MOST };

/* Texts as KMS gave them. record_clear wipes and frees those of a record that was opened. */
struct record {
    char *aap_name, *client_key_id;
    char *key_algorithm, *not_before, *not_after;
    char *private_key_data; /* base64 PKCS#12 */
    char *password;
    char *request_id;
    int64_t made_ns;   /* since 1970; a key: when it came, by the local clock; an intent: when it was made, by KMS's */
    uint64_t intent;   /* the number of the intent that it came from, or is; below 2^63 */
    bool dates_given;  /* the user chose the dates, not aapfs */
    bool adopted;      /* made elsewhere and given to this mount */
    bool scheduled;    /* it waits for its NotBefore before it becomes the current one */
    int64_t asked;     /* a key: when it was asked for, by KMS's clock, seconds since 1970; 0: not known */
};

/* For a record of somebody else's texts, which nobody clears. */
static inline char *record_borrow(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* *BYTES (OPENSSL_clear_free it) gets the whole file. 0, -ENOMEM, -EIO, -EMSGSIZE: over RECORD_SIZE_MOST. */
int record_close(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner,
                 const struct record *record, unsigned char **bytes, size_t *size);

/*
 * 0 and *RECORD; -EINVAL: not a record of this version; -EBADMSG: another key, account or region, or a byte
 * was changed; -ENOMEM. AAP_NAME and CLIENT_KEY_ID are what the file's place says: a header that says otherwise is
 * -EBADMSG too.
 */
int record_open(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner, const char *aap_name,
                const char *client_key_id, const unsigned char *bytes, size_t size, struct record *record);

/* envelope_told of a record. */
bool record_told(const unsigned char *bytes, size_t size, const char *name, char *text, size_t text_size);

/* *TO gets texts of its own. False: memory is short. */
bool record_copy(struct record *to, const struct record *from);

/* Safe on a zeroed struct. */
void record_clear(struct record *record);
