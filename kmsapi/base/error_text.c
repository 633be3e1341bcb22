#include "kmsapi/base/error_text.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

enum {
    PASSWORD_MOST = 256,                 /* longer ones are not looked for: KMS allows 64 */
    CHARACTER_MOST = 6,                  /* backslash u 0 0 X X, or an entity of XML */
    SPAN_MOST = PASSWORD_MOST * CHARACTER_MOST,
    PART = 16, ENCODED_MOST = 2,         /* of a secret that is told back */
};

static const char removed[] = "[password]";

enum { WRITINGS_MOST = 8 };

/* As XML writes some characters by their names; "" for others. */
static const char *entity(char c)
{
    return c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&quot;" : c == '\'' ? "&apos;" : "";
}

/* The sizes with which TEXT can begin with the character C, in one writing or another. */
static size_t writings(const char *text, size_t size, char c, size_t sizes[WRITINGS_MOST])
{
    static const struct {
        const char *head, *tail;
        bool decimal;
    } numbers[] = {{"%", "", false}, {"%25", "", false}, {"\\u00", "", false}, {"&#x", ";", false}, {"&#", ";", true}};
    size_t count = 0, named = strlen(entity(c));
    char writing[16];
    if (size > 0 && text[0] == c)
        sizes[count++] = 1;
    if (named > 0 && size >= named && memcmp(text, entity(c), named) == 0)
        sizes[count++] = named;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        size_t length = (size_t)snprintf(writing, sizeof(writing), numbers[i].decimal ? "%s%u%s" : "%s%02x%s", numbers[i].head,
                                         (unsigned char)c, numbers[i].tail);
        if (length <= CHARACTER_MOST && size >= length && strncasecmp(text, writing, length) == 0)
            sizes[count++] = length;
    }
    return count;
}

/* How much of TEXT's beginning is PASSWORD in any mixture of writings; 0: it is not there. */
static size_t match(const char *text, size_t size, const char *password)
{
    size_t sizes[WRITINGS_MOST], last = 0;
    if (writings(text, size, password[0], sizes) == 0)
        return 0; /* nearly always */
    bool reached[SPAN_MOST + 1] = {true};

    for (const char *c = password; *c; c++) {
        bool next[SPAN_MOST + 1] = {false};
        bool any = false;
        for (size_t at = 0; at <= last && at < size; at++) {
            size_t count = reached[at] ? writings(text + at, size - at, *c, sizes) : 0;
            for (size_t i = 0; i < count; i++)
                next[at + sizes[i]] = any = true;
        }
        if (!any)
            return 0;
        last += CHARACTER_MOST;
        memcpy(reached, next, sizeof(reached));
    }
    while (!reached[last])
        last--;
    return last;
}

static size_t match_base64(const char *text, size_t size, const char *base64)
{
    size_t length = strcspn(base64, "=");
    if (length == 0 || size < length)
        return 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
        if (c != base64[i])
            return 0;
    }
    while (length < size && text[length] == '=')
        length++;
    return length;
}

/* The size of the UTF-8 character at TEXT if it is valid and printable, else 0. */
static size_t character(const char *text, size_t size)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (byte[0] < 0x80)
        return byte[0] >= 0x20 && byte[0] != 0x7f;
    size_t length = byte[0] >= 0xf0 ? 4 : byte[0] >= 0xe0 ? 3 : 2;
    if (byte[0] < 0xc2 || byte[0] > 0xf4 || size < length)
        return 0;
    uint32_t point = byte[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (byte[i] & 0x3f);
    }
    const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000}; /* 0x80 to 0x9f are control characters */
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    bool separator = point == 0x2028 || point == 0x2029;
    return point < least[length] || point > 0x10ffff || surrogate || separator ? 0 : length;
}

/* KMS tells the string that it signed, and with it every parameter. */
static size_t cut(const char *text, size_t size)
{
    const char *const ends[] = {"string to sign", "stringtosign", "canonical"};
    for (size_t at = 0; at < size; at++)
        for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
            if (size - at >= strlen(ends[i]) && strncasecmp(text + at, ends[i], strlen(ends[i])) == 0)
                return at;
    return size;
}

void error_text_clean(const char *text, size_t size, const char *password, char *clean,
                      size_t clean_size)
{
    char base64[(PASSWORD_MOST + 2) / 3 * 4 + 1] = "";
    bool look = password && password[0] && strlen(password) <= PASSWORD_MOST;
    size_t used = 0;

    if (look)
        EVP_EncodeBlock((unsigned char *)base64, (const unsigned char *)password,
                        (int)strlen(password));
    size = cut(text, size);
    for (size_t at = 0; at < size;) {
        size_t secret = look ? match(text + at, size - at, password) : 0;
        if (look && !secret)
            secret = match_base64(text + at, size - at, base64);
        size_t length = secret ? 0 : character(text + at, size - at);
        const char *piece = secret ? removed : length ? text + at : " ";
        size_t piece_size = secret ? sizeof(removed) - 1 : length ? length : 1;
        if (used + piece_size >= clean_size)
            break;
        memcpy(clean + used, piece, piece_size);
        used += piece_size;
        at += secret ? secret : length ? length : 1;
    }
    clean[used] = '\0';
    OPENSSL_cleanse(base64, sizeof(base64));
}

/* -- a secret that is told back ------------------------------------------------------------ */

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

bool error_text_tells(const char *text, const char *secret)
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
