/*
 * Base64, padded and on one line, strictly: what does not come out as it went in is refused. Pure, any thread.
 */
#pragma once

#include <stddef.h>

/* DATA as a text (OPENSSL_free it); NULL: memory is short. */
char *base64_encode(const void *data, size_t size);

/*
 * *DATA (OPENSSL_free it) is what TEXT says, with a NUL behind it that *SIZE does not count. 0; -EBADMSG: TEXT is not what
 * base64_encode would write; -ENOMEM.
 */
int base64_decode(const char *text, unsigned char **data, size_t *size);
