#include "kmsapi/base/base64.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

char *base64_encode(const void *data, size_t size)
{
    char *text = size < INT_MAX / 2 ? OPENSSL_malloc((size + 2) / 3 * 4 + 1) : NULL;
    if (text) {
        text[0] = '\0';
        EVP_EncodeBlock((unsigned char *)text, data, (int)size);
    }
    return text;
}

/* Into ROOM, zeroed, of a byte more than there can be. The size, or a negative errno. */
static int decode(const char *text, size_t length, unsigned char *room)
{
    int got = length ? EVP_DecodeBlock(room, (const unsigned char *)text, (int)length) : 0;
    if (got < 0)
        return -EBADMSG;
    if (length)
        got -= (text[length - 1] == '=') + (text[length - 2] == '=');
    /* OpenSSL takes blanks, and bits behind the last byte */
    char *back = base64_encode(room, (size_t)got);
    int r = !back ? -ENOMEM : strcmp(back, text) != 0 ? -EBADMSG : got;
    OPENSSL_clear_free(back, back ? strlen(back) : 0);
    room[got] = '\0';
    return r;
}

int base64_decode(const char *text, unsigned char **data, size_t *size)
{
    size_t length = strlen(text);
    if (length % 4 != 0 || length > INT_MAX)
        return -EBADMSG;
    size_t room = length / 4 * 3 + 1;
    unsigned char *bytes = OPENSSL_zalloc(room);
    int got = bytes ? decode(text, length, bytes) : -ENOMEM;
    if (got < 0) {
        OPENSSL_clear_free(bytes, room);
        return got;
    }
    *size = (size_t)got;
    *data = bytes;
    return 0;
}
