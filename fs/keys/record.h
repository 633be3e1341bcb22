/*
 * One client key as it is kept on disk: a header that names it, and everything else sealed. Pure, any
 * thread; jansson must wipe what it frees (wiping_memory.h).
 *
 * The bytes: "aapfs-key-1\n", the header's size as 4 bytes, most significant first, the header (JSON with
 * AapName and ClientKeyId), and the sealed JSON. Account, region and header are associated data: a record that
 * was moved to another account or renamed to another key does not open.
 */
#ifndef AAPFS_FS_KEYS_RECORD_H
#define AAPFS_FS_KEYS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/keys/seal.h"

enum { RECORD_SIZE_MOST = 64 * 1024 };

/* Whose records these are. */
struct record_owner {
    const char *account, *region;
};

/* Texts as KMS gave them. record_clear wipes and frees those of a record that was opened. */
struct record {
    char *aap_name, *client_key_id;
    char *key_algorithm, *not_before, *not_after;
    char *private_key_data; /* base64 PKCS#12 */
    char *password;
    char *request_id;
    int64_t made_ns;        /* when it came, since 1970 */
    bool rejected;          /* it did not open, or is no usable key: kept, never shown */
};

/* *BYTES (OPENSSL_clear_free it) gets the whole file. 0, -ENOMEM, -EIO, -EMSGSIZE: over RECORD_SIZE_MOST. */
int record_close(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner,
                 const struct record *record, unsigned char **bytes, size_t *size);

/*
 * 0 and *RECORD; -EINVAL: not a record of this version; -EBADMSG: another key, account or region, or a byte
 * was changed; -ENOMEM. AAP_NAME and CLIENT_KEY_ID are what the file's place says: a header that says otherwise is
 * -EBADMSG too.
 */
int record_open(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner,
                const char *aap_name, const char *client_key_id, const unsigned char *bytes,
                size_t size, struct record *record);

/*
 * What a record's header tells of itself, not yet checked by anything: NAME of "AapName" or "ClientKeyId" into
 * TEXT. False: it does not, or it is longer than TEXT_SIZE.
 */
bool record_told(const unsigned char *bytes, size_t size, const char *name, char *text,
                 size_t text_size);

/* Safe on a zeroed struct. */
void record_clear(struct record *record);

#endif
