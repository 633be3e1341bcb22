#include "kmsapi/acs3.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <openssl/bio.h>
#include <openssl/buffer.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "kmsapi/cleanup.h"
#include "kmsapi/openssl_cleanup.h"

#define ALGORITHM "ACS3-HMAC-SHA256"

/*
 * Texts are built in memory BIOs: they grow by copying into fresh memory and wipe the old one
 * (BUF_MEM_grow_clean), and wipe what is left when freed.
 */

static bool put(BIO *text, const char *bytes, size_t size)
{
    return size == 0 || (BIO_write(text, bytes, (int)size) == (int)size);
}

static bool put_string(BIO *text, const char *string)
{
    return put(text, string, strlen(string));
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

static bool put_encoded(BIO *text, const char *string)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *string; string++) {
        unsigned char c = (unsigned char)*string;
        char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
        bool ok = is_unreserved(c) ? put(text, string, 1) : put(text, escaped, sizeof(escaped));
        if (!ok)
            return false;
    }
    return true;
}

/* A copy of the text so far, NUL-terminated; the BIO keeps its own until it is freed. */
static char *take_text(BIO *text)
{
    BUF_MEM *memory = NULL;
    BIO_get_mem_ptr(text, &memory);
    return memory ? OPENSSL_strndup(memory->data ? memory->data : "", memory->length) : NULL;
}

static int compare_pairs(const void *left, const void *right)
{
    const struct acs3_pair *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : strcmp(a->value, b->value);
}

/* A sorted copy of pairs; the strings stay the caller's. NULL when memory is short. */
static struct acs3_pair *sorted_pairs(const struct acs3_pair *pairs, size_t count)
{
    struct acs3_pair *sorted = calloc(count + 1, sizeof(*sorted));
    if (!sorted)
        return NULL;
    if (count > 0) {
        memcpy(sorted, pairs, count * sizeof(*sorted));
        qsort(sorted, count, sizeof(*sorted), compare_pairs);
    }
    return sorted;
}

char *acs3_canonical_query(const struct acs3_pair *query, size_t count)
{
    _cleanup_(free) struct acs3_pair *sorted = sorted_pairs(query, count);
    _cleanup_(BIO) BIO *text = BIO_new(BIO_s_mem());
    if (!sorted || !text)
        return NULL;

    for (size_t i = 0; i < count; i++)
        if ((i > 0 && !put(text, "&", 1)) || !put_encoded(text, sorted[i].name) ||
            !put(text, "=", 1) || !put_encoded(text, sorted[i].value))
            return NULL;
    return take_text(text);
}

char *acs3_percent_encode(const char *text)
{
    _cleanup_(BIO) BIO *encoded = BIO_new(BIO_s_mem());
    return encoded && put_encoded(encoded, text) ? take_text(encoded) : NULL;
}

static bool is_signed_header(const char *name)
{
    return strcasecmp(name, "host") == 0 || strcasecmp(name, "content-type") == 0 ||
           strncasecmp(name, "x-acs-", strlen("x-acs-")) == 0;
}

static bool put_lower(BIO *text, const char *name)
{
    for (; *name; name++) {
        char c = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
        if (!put(text, &c, 1))
            return false;
    }
    return true;
}

static bool put_trimmed(BIO *text, const char *value)
{
    value += strspn(value, " \t");
    size_t size = strlen(value);
    while (size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\t'))
        size--;
    return put(text, value, size);
}

static int compare_headers(const void *left, const void *right)
{
    const struct acs3_pair *a = left, *b = right;
    int order = strcasecmp(a->name, b->name);
    return order ? order : strcmp(a->value, b->value);
}

/* The signed headers of a request, sorted by name and then by value. */
static struct acs3_pair *signed_headers(const struct acs3_request *request, size_t *count)
{
    struct acs3_pair *chosen = calloc(request->header_count + 1, sizeof(*chosen));
    if (!chosen)
        return NULL;
    *count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        if (is_signed_header(request->headers[i].name))
            chosen[(*count)++] = request->headers[i];
    qsort(chosen, *count, sizeof(*chosen), compare_headers);
    return chosen;
}

/* "name:value\n" a header; several values of one name are joined with ",". NAMES gets "a;b". */
static bool put_headers(BIO *text, BIO *names, const struct acs3_pair *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool again = i > 0 && strcasecmp(headers[i - 1].name, headers[i].name) == 0;
        if (again) {
            if (!put(text, ",", 1))
                return false;
        } else if ((i > 0 && (!put(text, "\n", 1) || !put(names, ";", 1))) ||
                   !put_lower(text, headers[i].name) || !put(text, ":", 1) ||
                   !put_lower(names, headers[i].name)) {
            return false;
        }
        if (!put_trimmed(text, headers[i].value))
            return false;
    }
    return count == 0 || put(text, "\n", 1);
}

static void to_hex(const unsigned char *bytes, size_t size, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * size] = '\0';
}

int acs3_sha256_hex(const void *data, size_t size, char hex[static 65])
{
    unsigned char digest[32];
    if (EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    to_hex(digest, sizeof(digest), hex);
    return 0;
}

static const char *content_sha256(const struct acs3_request *request)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, "x-acs-content-sha256") == 0)
            return request->headers[i].value;
    return NULL;
}

/* Fills canonical_request and signed_headers. */
static int canonicalize(const struct acs3_request *request, struct acs3_signature *signature)
{
    const char *payload = content_sha256(request);
    if (!payload)
        return -EINVAL;

    size_t count = 0;
    _cleanup_(free) struct acs3_pair *headers = signed_headers(request, &count);
    _cleanup_(secret_string) char *query = acs3_canonical_query(request->query,
                                                                 request->query_count);
    _cleanup_(BIO) BIO *text = BIO_new(BIO_s_mem());
    _cleanup_(BIO) BIO *names = BIO_new(BIO_s_mem());
    if (!headers || !query || !text || !names)
        return -ENOMEM;

    if (!put_string(text, request->method) || !put(text, "\n", 1) ||
        !put_string(text, request->path) || !put(text, "\n", 1) || !put_string(text, query) ||
        !put(text, "\n", 1) || !put_headers(text, names, headers, count))
        return -ENOMEM;
    signature->signed_headers = take_text(names);
    if (!signature->signed_headers || !put(text, "\n", 1) ||
        !put_string(text, signature->signed_headers) || !put(text, "\n", 1) ||
        !put_string(text, payload))
        return -ENOMEM;
    signature->canonical_request = take_text(text);
    return signature->canonical_request ? 0 : -ENOMEM;
}

int acs3_canonicalize(const struct acs3_request *request, struct acs3_signature *signature, char hash[static 65])
{
    *signature = (struct acs3_signature){0};
    int r = canonicalize(request, signature);
    if (r == 0)
        r = acs3_sha256_hex(signature->canonical_request, strlen(signature->canonical_request),
                            hash);
    if (r < 0)
        acs3_signature_clear(signature);
    return r;
}

int acs3_sign(const struct acs3_request *request, const char *access_key_secret,
              struct acs3_signature *signature)
{
    char hash[65];
    int r = acs3_canonicalize(request, signature, hash);
    if (r < 0)
        return r;
    snprintf(signature->string_to_sign, sizeof(signature->string_to_sign), ALGORITHM "\n%s", hash);

    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (!HMAC(EVP_sha256(), access_key_secret, (int)strlen(access_key_secret),
              (const unsigned char *)signature->string_to_sign, strlen(signature->string_to_sign),
              mac, &size)) {
        acs3_signature_clear(signature);
        return -ENOMEM;
    }
    to_hex(mac, size, signature->signature);
    return 0;
}

void acs3_signature_clear(struct acs3_signature *signature)
{
    if (signature->canonical_request)
        OPENSSL_clear_free(signature->canonical_request, strlen(signature->canonical_request));
    OPENSSL_free(signature->signed_headers);
    *signature = (struct acs3_signature){0};
}

char *acs3_authorization(const struct acs3_signature *signature, const char *access_key_id)
{
    char *value = NULL;
    if (asprintf(&value, ALGORITHM " Credential=%s,SignedHeaders=%s,Signature=%s", access_key_id,
                 signature->signed_headers, signature->signature) < 0)
        return NULL;
    return value;
}
