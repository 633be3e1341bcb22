#include "kmsapi/credentials/echo.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

enum { PART = 16, ENCODED_MOST = 2 };

static bool holds_part(const char *text, const char *secret)
{
    size_t size = strlen(text), length = strlen(secret), part = length < PART ? length : PART;
    for (size_t at = 0; part > 0 && at + part <= length; at++)
        if (memmem(text, size, secret + at, part))
            return true;
    return false;
}

static unsigned int digit(char c)
{
    return c <= '9' ? (unsigned int)(c - '0') : (unsigned int)((c | 0x20) - 'a' + 10);
}

static void decode_once(char *text)
{
    char *to = text;
    for (const char *c = text; *c; c++) {
        bool encoded = c[0] == '%' && isxdigit((unsigned char)c[1]) && isxdigit((unsigned char)c[2]) &&
                       (c[1] != '0' || c[2] != '0');
        *to++ = encoded ? (char)(digit(c[1]) << 4 | digit(c[2])) : *c;
        c += encoded ? 2 : 0;
    }
    *to = '\0';
}

bool echo_tells(const char *text, const char *secret)
{
    if (!secret)
        return false;
    size_t room = strlen(text) + 1;
    char *decoded = OPENSSL_strdup(text);
    bool tells = !decoded || holds_part(text, secret); /* not to know is not to say it */
    for (unsigned int i = 0; !tells && i < ENCODED_MOST; i++) {
        decode_once(decoded);
        tells = holds_part(decoded, secret);
    }
    OPENSSL_clear_free(decoded, room);
    return tells;
}
