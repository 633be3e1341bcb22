/*
 * The form of every sealed file: a magic line, the header's size as 4 bytes, most significant first, the header
 * (JSON with AapName and ClientKeyId), and the sealed body. Account, region, place and everything in front of the body are
 * associated data: a file that was moved to another account or renamed to another key does not open. Pure, any
 * thread; jansson must wipe what it frees (wiping_memory.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fs/store/seal.h"

enum { ENVELOPE_SIZE_MOST = 64 * 1024 };

/* Whose files these are. */
struct record_owner {
    const char *account, *region;
    const char *place; /* where else than in a file of the store: under that name in another one; NULL: there */
};

struct envelope {
    const char *magic; /* with its newline */
    const struct record_owner *owner;
    const char *aap_name, *client_key_id;
};

/* *BYTES (OPENSSL_clear_free it) gets the whole file. 0, -ENOMEM, -EIO, -EMSGSIZE: over ENVELOPE_SIZE_MOST. */
int envelope_close(const unsigned char key[static SEAL_KEY_SIZE], const struct envelope *envelope,
                   struct seal_text body, unsigned char **bytes, size_t *size);

/*
 * 0 and *BODY (OPENSSL_clear_free it); -EINVAL: not a file of this magic; -EBADMSG: another key, account, region,
 * AAP or id, or a byte was changed; -ENOMEM.
 */
int envelope_open(const unsigned char key[static SEAL_KEY_SIZE], const struct envelope *envelope,
                  const unsigned char *bytes, size_t size, unsigned char **body, size_t *body_size);

/*
 * What a file's header tells of itself, not yet checked by anything: NAME of "AapName" or "ClientKeyId" into TEXT.
 * False: it does not, or it is longer than TEXT_SIZE.
 */
bool envelope_told(const char *magic, const unsigned char *bytes, size_t size, const char *name,
                   char *text, size_t text_size);
