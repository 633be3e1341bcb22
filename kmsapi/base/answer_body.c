#include "kmsapi/base/answer_body.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

/* -- bytes --------------------------------------------------------------------------------- */

/* The size of the UTF-8 character at TEXT; 0: it is none. */
static size_t character(const unsigned char *text, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (text[0] < 0x80)
        return 1;
    size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4 || size < length)
        return 0;
    uint32_t point = text[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (text[i] & 0x3f);
    }
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < least[length] || point > 0x10ffff || surrogate ? 0 : length;
}

/* A copy to work on, without a byte-order mark; free_copy it. */
struct copy {
    char *bytes; /* NUL-terminated; NULL: memory is short */
    size_t size, room;
};

static struct copy mend(const char *body, size_t size)
{
    bool marked = size >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0;
    struct copy copy = {.size = size - (marked ? 3 : 0), .room = size + 1};
    copy.bytes = OPENSSL_malloc(copy.room);
    if (!copy.bytes)
        return copy;
    memcpy(copy.bytes, body + (marked ? 3 : 0), copy.size);
    copy.bytes[copy.size] = '\0';
    for (size_t at = 0; at < copy.size;) {
        size_t length = character((const unsigned char *)copy.bytes + at, copy.size - at);
        if (length == 0)
            copy.bytes[at] = '?';
        at += length ? length : 1;
    }
    return copy;
}

static void free_copy(struct copy *copy)
{
    OPENSSL_clear_free(copy->bytes, copy->room);
}

/* -- JSON ---------------------------------------------------------------------------------- */

static json_t *object_or_null(json_t *value)
{
    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

json_t *answer_body_json(const char *body, size_t size, bool twice)
{
    struct copy copy = mend(body, size);
    json_t *value = copy.bytes ? json_loadb(copy.bytes, copy.size, JSON_ALLOW_NUL | (twice ? 0 : JSON_REJECT_DUPLICATES), NULL)
                               : NULL;
    free_copy(&copy);
    return object_or_null(value);
}

/* The string that is the value of a member at TEXT, which begins behind its name; NULL: it is none. */
static json_t *string_behind(const char *text, size_t size)
{
    static const char blanks[] = " \t\r\n";
    size_t at = strspn(text, blanks);
    if (text[at] != ':')
        return NULL;
    at += 1 + strspn(text + at + 1, blanks);
    return text[at] == '"' ? json_loadb(text + at, size - at, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL)
                           : NULL;
}

/* The first member NAME whose value is a string. A quotation mark behind a backslash begins no name. */
static json_t *find_string(const struct copy *copy, const char *name)
{
    size_t length = strlen(name);
    const char *end = copy->bytes + copy->size;
    for (const char *at = copy->bytes; (at = memmem(at, (size_t)(end - at), name, length)); at += length) {
        const char *behind = at + length;
        if (at == copy->bytes || at[-1] != '"' || *behind != '"' || (at - copy->bytes > 1 && at[-2] == '\\'))
            continue;
        json_t *value = string_behind(behind + 1, (size_t)(end - behind - 1));
        if (value)
            return value;
    }
    return NULL;
}

json_t *answer_body_rest(const char *body, size_t size, const char *const *names)
{
    struct copy copy = mend(body, size);
    json_t *object = copy.bytes ? json_object() : NULL;
    for (; object && *names; names++) {
        json_t *value = find_string(&copy, *names);
        if (value)
            json_object_set_new(object, *names, value);
    }
    free_copy(&copy);
    if (json_object_size(object) > 0)
        return object;
    json_decref(object);
    return NULL;
}

/* -- XML ----------------------------------------------------------------------------------- */

struct document {
    const char *at;    /* NUL-terminated */
    char *text;        /* of the element that was opened last: where it is decoded to */
    size_t text_size;
    const char *name;  /* of that element; NULL: what came last was an end */
    size_t name_size;
    json_t *object;
    unsigned int count; /* of the elements */
};

static void put_point(struct document *document, unsigned long point)
{
    char *to = document->text + document->text_size;
    bool none = point == 0 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff);
    size_t more = none || point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const unsigned char heads[] = {0, 0xc0, 0xe0, 0xf0};
    to[0] = none ? '?' : (char)(heads[more] | point >> (6 * more));
    for (size_t i = 1; i <= more; i++)
        to[i] = (char)(0x80 | (point >> (6 * (more - i)) & 0x3f));
    document->text_size += more + 1;
}

/* Takes an entity, which is never shorter than what it stands for, or the "&" that it is not. */
static void take_entity(struct document *document)
{
    static const struct {
        const char *name;
        char character;
    } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        size_t length = strlen(entities[i].name);
        if (strncmp(document->at, entities[i].name, length) != 0)
            continue;
        document->text[document->text_size++] = entities[i].character;
        document->at += length;
        return;
    }
    bool hexadecimal = document->at[1] == '#' && (document->at[2] == 'x' || document->at[2] == 'X');
    const char *digits = document->at + (hexadecimal ? 3 : 2);
    size_t count = document->at[1] == '#' ? strspn(digits, hexadecimal ? "0123456789abcdefABCDEF" : "0123456789") : 0;
    if (count > 0 && count <= 8 && digits[count] == ';') {
        put_point(document, strtoul(digits, NULL, hexadecimal ? 16 : 10));
        document->at = digits + count + 1;
    } else {
        document->text[document->text_size++] = *document->at++;
    }
}

/* Behind END, or the document's end. */
static const char *behind(const char *at, const char *end)
{
    const char *found = strstr(at, end);
    return found ? found + strlen(end) : at + strlen(at);
}

static void take_cdata(struct document *document)
{
    const char *begin = document->at + strlen("<![CDATA["), *end = strstr(begin, "]]>");
    size_t size = end ? (size_t)(end - begin) : strlen(begin);
    memcpy(document->text + document->text_size, begin, size);
    document->text_size += size;
    document->at = end ? end + 3 : begin + size;
}

/* The name of the tag at TEXT, without its namespace. */
static const char *name_of(const char *text, size_t *size)
{
    *size = strcspn(text, " \t\r\n/><");
    const char *colon = memchr(text, ':', *size);
    if (colon)
        *size -= (size_t)(colon + 1 - text);
    return colon ? colon + 1 : text;
}

static void open_element(struct document *document)
{
    char quote = '\0';
    document->name = name_of(document->at + 1, &document->name_size);
    document->text_size = 0;
    document->count++;
    for (; *document->at && (quote || *document->at != '>'); document->at++) {
        if (quote ? *document->at == quote : *document->at == '"' || *document->at == '\'')
            quote = quote ? '\0' : *document->at;
    }
    if (document->at[-1] == '/')
        document->name = NULL; /* it holds nothing */
    document->at += *document->at == '>';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Its text, without the blanks around it. */
static json_t *text_of(const struct document *document)
{
    const char *begin = document->text, *end = begin + document->text_size;
    while (begin < end && is_blank(*begin))
        begin++;
    while (begin < end && is_blank(end[-1]))
        end--;
    return json_stringn(begin, (size_t)(end - begin));
}

static void close_element(struct document *document)
{
    size_t size;
    char name[64];
    const char *closed = name_of(document->at + 2, &size);
    if (document->name && size == document->name_size && memcmp(closed, document->name, size) == 0 && size < sizeof(name)) {
        memcpy(name, closed, size);
        name[size] = '\0';
        if (!json_object_get(document->object, name))
            json_object_set_new(document->object, name, text_of(document));
    }
    document->name = NULL;
    document->at = behind(document->at, ">");
}

/* Whether what it begins with, behind declarations and comments, is a page's element. */
static bool is_page(const struct document *document)
{
    return document->count == 1 && document->name && document->name_size == 4 && strncasecmp(document->name, "html", 4) == 0;
}

/* False: this is no document of ours. */
static bool take_markup(struct document *document)
{
    if (strncmp(document->at, "<!--", 4) == 0)
        document->at = behind(document->at + 4, "-->");
    else if (strncmp(document->at, "<![CDATA[", 9) == 0)
        take_cdata(document);
    else if (document->at[1] == '?')
        document->at = behind(document->at, "?>");
    else if (document->at[1] == '!')
        return false; /* with a type of its own, or a page */
    else if (document->at[1] == '/')
        close_element(document);
    else
        open_element(document);
    return !is_page(document);
}

json_t *answer_body_xml(const char *body, size_t size)
{
    struct copy copy = mend(body, size);
    struct document document = {.at = copy.bytes, .text = OPENSSL_malloc(size + 1)};
    document.object = copy.bytes && document.text ? json_object() : NULL;
    bool good = document.object && document.at[strspn(document.at, " \t\r\n")] == '<';
    while (good && *document.at) {
        if (*document.at == '<')
            good = take_markup(&document);
        else if (*document.at == '&')
            take_entity(&document);
        else
            document.text[document.text_size++] = *document.at++;
    }
    OPENSSL_clear_free(document.text, size + 1);
    free_copy(&copy);
    if (good && json_object_size(document.object) > 0)
        return document.object;
    json_decref(document.object);
    return NULL;
}

/* -- members ------------------------------------------------------------------------------- */

const json_t *answer_body_member(const json_t *object, const char *name)
{
    const char *other;
    json_t *value;
    const json_t *member = json_object_get(object, name);
    if (member || !json_is_object(object))
        return member;
    json_object_foreach((json_t *)(uintptr_t)object, other, value)
        if (strcasecmp(other, name) == 0)
            return value;
    return NULL;
}

const char *answer_body_text(const json_t *member)
{
    const char *text = json_string_value(member);
    return text && strlen(text) == json_string_length(member) ? text : NULL;
}
