/*
 * Sealing: AES-256-GCM under the state key. Pure but for OpenSSL's random numbers; any thread.
 *
 * A sealed text is nonce (12 bytes, random), ciphertext, tag (16 bytes): NIST SP 800-38D, whose limit of
 * 2^32 texts under one key with random nonces is far beyond what one mount ever keeps.
 */
#pragma once

#include <stddef.h>

enum { SEAL_KEY_SIZE = 32, SEAL_OVERHEAD = 12 + 16 };

struct seal_text {
    const void *data;
    size_t size;
};

/*
 * Seals PLAIN together with ASSOCIATED, which is not hidden but must be the same when it is opened,
 * into SEALED: room for PLAIN's size and SEAL_OVERHEAD. 0, or -EIO where OpenSSL fails.
 */
int seal_close(const unsigned char key[static SEAL_KEY_SIZE], struct seal_text associated,
               struct seal_text plain, unsigned char *sealed);

/*
 * The other way, into PLAIN: room for SEALED's size less SEAL_OVERHEAD. 0, or -EBADMSG for another
 * key, other associated data or a changed byte (PLAIN is wiped then), -EIO where OpenSSL fails.
 */
int seal_open(const unsigned char key[static SEAL_KEY_SIZE], struct seal_text associated,
              struct seal_text sealed, unsigned char *plain);
