#include "kmsapi/emulator/instance.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/sha.h>

#include "kmsapi/emulator/emulator_clock.h"
#include "kmsapi/iso_time.h"
#include "kmsapi/openssl_cleanup.h"

#define API_NAME_HEADER "x-kms-apiname"

static const struct protobuf_field secret_request[] = {
    {1, PROTOBUF_STRING, "SecretName"},       {2, PROTOBUF_STRING, "VersionStage"},
    {3, PROTOBUF_STRING, "VersionId"},        {4, PROTOBUF_BOOL, "FetchExtendedConfig"},
    {0, 0, NULL},
};

static const struct protobuf_field secret_answer[] = {
    {1, PROTOBUF_STRING, "SecretName"},     {2, PROTOBUF_STRING, "SecretType"},
    {3, PROTOBUF_STRING, "SecretData"},     {4, PROTOBUF_STRING, "SecretDataType"},
    {5, PROTOBUF_STRING, "VersionStages"},  {6, PROTOBUF_STRING, "VersionId"},
    {7, PROTOBUF_STRING, "CreateTime"},     {8, PROTOBUF_STRING, "RequestId"},
    {0, 0, NULL},
};

static const struct protobuf_field error_answer[] = {
    {1, PROTOBUF_INTEGER, "StatusCode"}, {2, PROTOBUF_STRING, "Code"},
    {3, PROTOBUF_STRING, "Message"},     {4, PROTOBUF_STRING, "RequestId"},
    {0, 0, NULL},
};

/* What an instance has and the emulator has not. */
static const char *const unsupported[] = {
    "Encrypt", "Decrypt", "Sign", "Verify", "GenerateRandom", "GenerateDataKey", "GetPublicKey",
    "AdvanceEncrypt", "AdvanceDecrypt", "AdvanceGenerateDataKey",
};

/* What may stand in an error: bytes that are no text would spoil it. */
static const char *harmless(const char *text)
{
    for (const char *c = text ? text : ""; *c; c++)
        if (*c < ' ' || *c > '~')
            return "";
    return text ? text : "";
}

/* The value behind NAME: in NAME:VALUE; NULL: there is no such secret. */
static const char *find_secret(const struct instance *instance, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < instance->secret_count; i++)
        if (strncmp(instance->secrets[i], name, size) == 0 && instance->secrets[i][size] == ':')
            return instance->secrets[i] + size + 1;
    return NULL;
}

/* There is one version of each. */
static bool is_version(const json_t *asked)
{
    const char *stage = json_string_value(json_object_get(asked, "VersionStage"));
    const char *id = json_string_value(json_object_get(asked, "VersionId"));
    return (!stage || !*stage || strcmp(stage, "ACSCurrent") == 0) &&
           (!id || !*id || strcmp(id, "v1") == 0);
}

static void get_secret_value(const struct instance *instance, const json_t *asked,
                             struct reply *reply)
{
    char created[ISO_TIME_SIZE];
    const char *name = json_string_value(json_object_get(asked, "SecretName"));
    if (!name || !*name) {
        reply_missing(reply, "SecretName");
        return;
    }
    const char *value = strchr(name, ':') ? NULL : find_secret(instance, name);
    if (!value || !is_version(asked)) {
        reply_not_found(reply);
        return;
    }
    iso_time_format(emulator_clock_now(), created);
    reply_object(reply, json_pack("{s:s, s:s, s:s, s:s, s:[s], s:s, s:s}", "SecretName", name,
                                  "SecretType", "Generic", "SecretData", value, "SecretDataType",
                                  "text", "VersionStages", "ACSCurrent", "VersionId", "v1",
                                  "CreateTime", created));
}

static bool is_unsupported(const char *name)
{
    for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
        if (strcmp(name, unsupported[i]) == 0)
            return true;
    return false;
}

const char *instance_operation(const struct request *request)
{
    const char *name = request_header(request, API_NAME_HEADER);
    const char *type = request_header(request, "content-type");
    if (name && strcmp(name, "GetSecretValue") == 0)
        return "Instance.GetSecretValue";
    return name || (type && strcmp(type, "application/x-protobuf") == 0) ? "Instance.Other" : NULL;
}

void instance_run(const struct instance *instance, const struct request *request,
                  struct reply *reply)
{
    const char *name = request_header(request, API_NAME_HEADER);
    if (!name || (strcmp(name, "GetSecretValue") != 0 && !is_unsupported(name))) {
        reply_error(reply, 400, "InvalidApiName", "The ApiName \"%.100s\" is invalid.",
                    harmless(name));
        return;
    }
    if (is_unsupported(name) || strcmp(request->method, "POST") != 0 || strcmp(request->url, "/") != 0) {
        reply_error(reply, 400, "UnsupportedOperation", "Rejected.UnsupportedOperation");
        return;
    }
    json_t *asked = protobuf_read(secret_request, request->body ? request->body : "",
                                  request->body_size);
    if (asked)
        get_secret_value(instance, asked, reply);
    else
        reply_error(reply, 400, "InvalidParameter", "The specified parameter is not valid.");
    json_decref(asked);
}

void instance_dress(struct reply *reply)
{
    reply->message = reply->status == 200 ? secret_answer : error_answer;
    if (reply->status != 200)
        json_object_set_new(reply->object, "StatusCode", json_integer(reply->status));
}

/* -- who sent a request: the signature that was made with a client key, by the key's certificate  */

#define SIGNED_PREFIX "x-kms-"
#define KEY_ID_HEADER "x-kms-acccesskeyid" /* so spelled */

enum { WINDOW_SECONDS = 15 * 60, SIGNATURE_MOST = 512, SIGNED_HEADERS_MOST = 32 };

static bool refuse_parameter(struct reply *reply, const char *name)
{
    reply_error(reply, 400, "InvalidParam", "The Param %s is invalid.", name);
    return false;
}

/* RFC 1123, in this form alone: Wed, 25 Nov 2026 12:00:00 GMT */
static bool read_date(const char *text, int64_t *seconds)
{
    static const char form[] = "%a, %d %b %Y %H:%M:%S GMT";
    struct tm fields = {0};
    char again[64];
    const char *end = text ? strptime(text, form, &fields) : NULL;
    if (!end || *end)
        return false;
    *seconds = timegm(&fields);
    time_t moment = *seconds;
    return gmtime_r(&moment, &fields) && strftime(again, sizeof(again), form, &fields) > 0 &&
           strcmp(again, text) == 0;
}

static bool check_date(const struct request *request, struct reply *reply)
{
    int64_t seconds;
    if (!read_date(request_header(request, "date"), &seconds))
        return refuse_parameter(reply, "Date");
    if (llabs(emulator_clock_now() - seconds) <= WINDOW_SECONDS)
        return true;
    reply_error(reply, 400, "RequestTimeTooSkewed",
                "Request time exceeds server time more than 15 minutes.");
    return false;
}

/* Upper-case hex of the body's SHA-256. */
static bool check_digest(const struct request *request, struct reply *reply)
{
    const char *told = request_header(request, "content-sha256");
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH + 1];
    SHA256((const unsigned char *)(request->body ? request->body : ""), request->body_size, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02X", digest[i]);
    return (told && strcmp(told, text) == 0) || refuse_parameter(reply, "Content-SHA256");
}

static bool check_headers(const struct request *request, struct reply *reply)
{
    const char *version = request_header(request, "x-kms-apiversion");
    const char *method = request_header(request, "x-kms-signaturemethod");
    const char *type = request_header(request, "content-type");
    if (!version || strcmp(version, "dkms-gcs-0.2") != 0) {
        reply_error(reply, 400, "InvalidApiVersion", "The ApiVersion is invalid.");
        return false;
    }
    if (!method || strcmp(method, "RSA_PKCS1_SHA_256") != 0)
        return refuse_parameter(reply, "x-kms-signaturemethod");
    if (!request_header(request, KEY_ID_HEADER)) {
        reply_error(reply, 400, "MissingParameter",
                    "Parameter " KEY_ID_HEADER " does not exist in http header or body.");
        return false;
    }
    if (!type || strcmp(type, "application/x-protobuf") != 0)
        return refuse_parameter(reply, "Content-Type");
    return check_date(request, reply) && check_digest(request, reply);
}

static int compare_names(const void *one, const void *other)
{
    const struct acs3_pair *const *a = one, *const *b = other;
    return strcasecmp((*a)->name, (*b)->name);
}

static void write_header(FILE *out, const struct acs3_pair *header)
{
    const char *value = header->value + strspn(header->value, " \t");
    size_t size = strlen(value);
    while (size > 0 && strchr(" \t", value[size - 1]))
        size--;
    for (const char *c = header->name; *c; c++)
        putc(tolower((unsigned char)*c), out);
    fprintf(out, ":%.*s\n", (int)size, value);
}

/* free() it. NULL: too many headers, or memory is short. */
static char *string_to_sign(const struct request *request)
{
    const struct acs3_pair *headers[SIGNED_HEADERS_MOST];
    size_t count = 0, size;
    char *text = NULL;
    for (size_t i = 0; i < request->headers.count; i++) {
        const struct acs3_pair *header = &request->headers.items[i];
        if (strncasecmp(header->name, SIGNED_PREFIX, strlen(SIGNED_PREFIX)) != 0)
            continue;
        if (count == SIGNED_HEADERS_MOST)
            return NULL;
        headers[count++] = header;
    }
    qsort(headers, count, sizeof(headers[0]), compare_names);
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fprintf(out, "%s\n%s\n%s\n%s\n", request->method, request_header(request, "content-sha256"),
            request_header(request, "content-type"), request_header(request, "date"));
    for (size_t i = 0; i < count; i++)
        write_header(out, headers[i]);
    putc('/', out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* The public key of client key ID, if it is valid at this moment. NULL: there is none such. */
static EVP_PKEY *find_key(struct account *account, const char *id)
{
    EVP_PKEY *public_key = NULL;
    int64_t before, after, now = emulator_clock_now();
    account_lock(account);
    const json_t *key = json_object_get(account_client_keys(account), id);
    const char *from = json_string_value(json_object_get(key, "NotBefore"));
    const char *until = json_string_value(json_object_get(key, "NotAfter"));
    const char *pem = json_string_value(json_object_get(key, "PublicKeyData"));
    if (from && until && pem && iso_time_parse(from, strlen(from), &before) == 0 &&
        iso_time_parse(until, strlen(until), &after) == 0 && before <= now && now < after) {
        _cleanup_(BIO) BIO *text = BIO_new_mem_buf(pem, -1);
        _cleanup_(X509) X509 *certificate = text ? PEM_read_bio_X509(text, NULL, NULL, NULL) : NULL;
        public_key = certificate ? X509_get_pubkey(certificate) : NULL;
    }
    account_unlock(account, false);
    return public_key;
}

/* "Bearer " and base64 with its padding, nothing else. The size, or -1. */
static int read_signature(const char *authorization, unsigned char bytes[static SIGNATURE_MOST])
{
    static const char bearer[] = "Bearer ";
    if (!authorization || strncmp(authorization, bearer, strlen(bearer)) != 0)
        return -1;
    const char *text = authorization + strlen(bearer);
    size_t size = strlen(text);
    size_t padding = size - strcspn(text, "=");
    if (size == 0 || size % 4 != 0 || size / 4 * 3 > SIGNATURE_MOST || padding > 2 ||
        strspn(text + size - padding, "=") != padding)
        return -1;
    int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)size);
    return decoded < 0 ? -1 : decoded - (int)padding;
}

static bool verify(EVP_PKEY *key, const char *authorization, const char *text)
{
    unsigned char signature[SIGNATURE_MOST];
    int size = read_signature(authorization, signature);
    EVP_MD_CTX *context = size > 0 ? EVP_MD_CTX_new() : NULL;
    bool good = context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(context, signature, (size_t)size, (const unsigned char *)text,
                                 strlen(text)) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

bool instance_signature_check(struct account *account, const struct request *request,
                              struct reply *reply)
{
    if (!check_headers(request, reply))
        return false;
    _cleanup_(EVP_PKEY) EVP_PKEY *key = find_key(account, request_header(request, KEY_ID_HEADER));
    _cleanup_(free) char *text = key ? string_to_sign(request) : NULL;
    if (text && verify(key, request_header(request, "authorization"), text))
        return true;
    reply_error(reply, 401, "SignatureNotMatch", "Signature is not matched.");
    return false;
}
