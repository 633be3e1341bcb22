#include "kmsapi/emulator/signature.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "kmsapi/acs3.h"
#include "kmsapi/emulator/emulator_clock.h"
#include "kmsapi/iso_time.h"
#include "kmsapi/rpc2.h"

enum { WINDOW_SECONDS = 15 * 60, NONCES_MANY = 100000, NONCE_MOST = 128, MAC_SIZE = 32, SECRET_MOST = 256 };

/* -- V4: V3's canonical request, signed with a key for one day, region and product -------------- */

/* What the key holds for, as the credential of an Authorization names it. */
struct acs4_scope {
    char date[9]; /* yyyyMMdd */
    char region[65], product[65];
};

static bool mac(const void *key, size_t size, const char *text, unsigned char out[static MAC_SIZE])
{
    return HMAC(EVP_sha256(), key, (int)size, (const unsigned char *)text, strlen(text), out, NULL) != NULL;
}

/* aliyun_v4 and the secret, then each part of the scope. */
static int derive(const char *secret, const struct acs4_scope *scope, unsigned char key[static MAC_SIZE])
{
    char first[SECRET_MOST];
    unsigned char date[MAC_SIZE], region[MAC_SIZE], product[MAC_SIZE];
    size_t size = (size_t)snprintf(first, sizeof(first), "aliyun_v4%s", secret);
    int r = size >= sizeof(first) ? -EINVAL : 0;
    if (r == 0 && (!mac(first, size, scope->date, date) || !mac(date, MAC_SIZE, scope->region, region) ||
                   !mac(region, MAC_SIZE, scope->product, product) ||
                   !mac(product, MAC_SIZE, "aliyun_v4_request", key)))
        r = -ENOMEM;
    OPENSSL_cleanse(first, sizeof(first));
    return r;
}

/* As acs3_sign. */
static int acs4_sign(const struct acs3_request *request, const char *access_key_secret, const struct acs4_scope *scope,
              struct acs3_signature *signature)
{
    unsigned char key[MAC_SIZE], signed_text[MAC_SIZE];
    char hash[65];
    int r = derive(access_key_secret, scope, key);
    if (r < 0)
        return r;
    r = acs3_canonicalize(request, signature, hash);
    if (r == 0) {
        snprintf(signature->string_to_sign, sizeof(signature->string_to_sign), "ACS4-HMAC-SHA256\n%s", hash);
        if (!mac(key, sizeof(key), signature->string_to_sign, signed_text)) {
            acs3_signature_clear(signature);
            r = -ENOMEM;
        }
    }
    for (size_t i = 0; r == 0 && i < sizeof(signed_text); i++)
        snprintf(signature->signature + 2 * i, 3, "%02x", signed_text[i]);
    OPENSSL_cleanse(key, sizeof(key));
    return r;
}

/* -- who it is -------------------------------------------------------------------------- */

struct signatures {
    char *access_key_id, *access_key_secret;
    struct sessions *sessions;
    pthread_mutex_t lock;
    json_t *nonces; /* nonce: when it came, seconds; under the lock */
};

struct signatures *signatures_new(const char *access_key_id, const char *access_key_secret,
                                  struct sessions *sessions)
{
    struct signatures *signatures = calloc(1, sizeof(*signatures));
    if (!signatures)
        return NULL;
    pthread_mutex_init(&signatures->lock, NULL);
    signatures->access_key_id = strdup(access_key_id);
    signatures->access_key_secret = strdup(access_key_secret);
    signatures->sessions = sessions;
    signatures->nonces = json_object();
    if (signatures->access_key_id && signatures->access_key_secret && signatures->nonces)
        return signatures;
    signatures_free(signatures);
    return NULL;
}

void signatures_free(struct signatures *signatures)
{
    if (!signatures)
        return;
    free(signatures->access_key_id);
    if (signatures->access_key_secret)
        OPENSSL_cleanse(signatures->access_key_secret, strlen(signatures->access_key_secret));
    free(signatures->access_key_secret);
    json_decref(signatures->nonces);
    pthread_mutex_destroy(&signatures->lock);
    free(signatures);
}

/* The parts of "ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…". */
struct authorization {
    char access_key_id[129], signed_headers[1025], signature[129];
    struct acs4_scope scope; /* of ACS4, behind the id; date "": it is ACS3 */
};

static bool parse_authorization(const char *text, struct authorization *parts)
{
    int end = 0;
    *parts = (struct authorization){0};
    if (sscanf(text,
               "ACS3-HMAC-SHA256 Credential=%128[^, ],SignedHeaders=%1024[^, ],"
               "Signature=%128[0-9a-f]%n",
               parts->access_key_id, parts->signed_headers, parts->signature, &end) == 3)
        return text[end] == '\0';
    return sscanf(text,
                  "ACS4-HMAC-SHA256 Credential=%128[^/, ]/%8[0-9]/%64[^/, ]/%64[^/, ]/aliyun_v4_request,"
                  "SignedHeaders=%1024[^, ],Signature=%128[0-9a-f]%n",
                  parts->access_key_id, parts->scope.date, parts->scope.region, parts->scope.product,
                  parts->signed_headers, parts->signature, &end) == 6 &&
           text[end] == '\0';
}

/* That a V4 signature's key is one for this day and product. A client that knows no region says "center". */
static bool scope_fits(const struct acs4_scope *scope, const char *date)
{
    char day[9];
    snprintf(day, sizeof(day), "%.4s%.2s%.2s", date, date + 5, date + 8);
    return !scope->date[0] || (strcmp(scope->date, day) == 0 && strcasecmp(scope->product, "Kms") == 0);
}

static bool check_date(const char *date, struct reply *reply)
{
    int64_t seconds;
    if (!date || iso_time_parse(date, strlen(date), &seconds) < 0) {
        reply_error(reply, 400, "InvalidTimeStamp.Format",
                    "Specified time stamp or date value is not well formatted.");
        return false;
    }
    if (llabs(emulator_clock_now() - seconds) > WINDOW_SECONDS) {
        reply_error(reply, 400, "InvalidTimeStamp.Expired",
                    "Specified time stamp or date value is expired.");
        return false;
    }
    return true;
}

/* What can no longer be replayed, because its date has passed, is forgotten. */
static void forget_old_nonces(json_t *nonces, int64_t now)
{
    const char *nonce;
    json_t *value;
    void *next;
    json_object_foreach_safe(nonces, next, nonce, value)
        if (json_integer_value(value) < now - 2 * WINDOW_SECONDS)
            json_object_del(nonces, nonce);
}

static bool take_nonce(struct signatures *signatures, const char *nonce, struct reply *reply)
{
    int64_t now = emulator_clock_now();
    pthread_mutex_lock(&signatures->lock);
    bool used = json_object_get(signatures->nonces, nonce) != NULL;
    if (!used) {
        if (json_object_size(signatures->nonces) % NONCES_MANY == NONCES_MANY - 1)
            forget_old_nonces(signatures->nonces, now);
        json_object_set_new(signatures->nonces, nonce, json_integer(now));
    }
    pthread_mutex_unlock(&signatures->lock);
    if (used)
        reply_error(reply, 400, "SignatureNonceUsed",
                    "Specified signature nonce was used already.");
    return !used;
}

static bool body_is_as_signed(const struct request *request)
{
    char hash[65];
    const char *told = request_header(request, "x-acs-content-sha256");
    const char *body = request->body ? request->body : "";
    return told && acs3_sha256_hex(body, request->body_size, hash) == 0 && strcmp(told, hash) == 0;
}

static bool check_signature(const char *secret, const struct request *request,
                            const struct authorization *told, struct reply *reply)
{
    const struct acs3_request signed_request = {
        .method = request->method,
        .path = request->path,
        .query = request->query.items,
        .query_count = request->query.count,
        .headers = request->headers.items,
        .header_count = request->headers.count,
    };
    struct acs3_signature ours;
    int r = told->scope.date[0] ? acs4_sign(&signed_request, secret, &told->scope, &ours)
                                : acs3_sign(&signed_request, secret, &ours);
    if (r < 0) {
        reply_error(reply, 400, "IncompleteSignature",
                    "The request signature does not conform to Alibaba Cloud standards.");
        return false;
    }
    bool same = strlen(told->signature) == strlen(ours.signature) &&
                CRYPTO_memcmp(told->signature, ours.signature, strlen(ours.signature)) == 0 &&
                strcmp(told->signed_headers, ours.signed_headers) == 0 &&
                scope_fits(&told->scope, request_header(request, "x-acs-date")) && body_is_as_signed(request);
    if (!same)
        reply_error(reply, 400, "SignatureDoesNotMatch",
                    "Specified signature is not matched with our calculation. server string to "
                    "sign is:%s server canonical request is:%s",
                    ours.string_to_sign, ours.canonical_request);
    acs3_signature_clear(&ours);
    return same;
}

/* SECRET is what ID signs with: the known key's, whatever TOKEN it comes with, or a session's. */
static bool find_secret(const struct signatures *signatures, const char *id, const char *token,
                        char session_secret[static SESSION_SECRET_SIZE], const char **secret,
                        struct reply *reply)
{
    if (strncmp(id, "STS.", 4) == 0 && (!token || !*token)) {
        reply_error(reply, 400, "MissingSecurityToken", "SecurityToken is mandatory for this action.");
        return false;
    }
    bool known = strcmp(id, signatures->access_key_id) == 0;
    *secret = known ? signatures->access_key_secret : session_secret;
    return known || sessions_find(signatures->sessions, id, token, session_secret, reply);
}

static bool is_nonce(const char *nonce)
{
    return nonce && *nonce && strlen(nonce) <= NONCE_MOST;
}

/* And V4. */
static bool check_v3(struct signatures *signatures, const struct request *request, struct reply *reply)
{
    struct authorization told;
    char session_secret[SESSION_SECRET_SIZE];
    const char *secret;
    const char *authorization = request_header(request, "authorization");
    const char *nonce = request_header(request, "x-acs-signature-nonce");
    if (!authorization || !parse_authorization(authorization, &told) || !is_nonce(nonce)) {
        reply_error(reply, 400, "IncompleteSignature",
                    "The request signature does not conform to Alibaba Cloud standards.");
        return false;
    }
    return check_date(request_header(request, "x-acs-date"), reply) &&
           find_secret(signatures, told.access_key_id, request_header(request, "x-acs-security-token"),
                       session_secret, &secret, reply) &&
           check_signature(secret, request, &told, reply) && take_nonce(signatures, nonce, reply);
}

/* -- V2 ------------------------------------------------------------------------------------ */

/* What is missing or has a value that KMS does not know, by its name. */
static const char *wrong_v2_parameter(const struct request *request)
{
    static const struct {
        const char *name, *value; /* NULL: any */
    } wanted[] = {
        {"AccessKeyId", NULL},       {"Signature", NULL},       {"SignatureMethod", "HMAC-SHA1"},
        {"SignatureVersion", "1.0"}, {"SignatureNonce", NULL},  {"Timestamp", NULL},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const char *value = request_parameter(request, wanted[i].name);
        if (!value || !*value || (wanted[i].value && strcasecmp(value, wanted[i].value) != 0))
            return wanted[i].name;
    }
    return is_nonce(request_parameter(request, "SignatureNonce")) ? NULL : "SignatureNonce";
}

/* Of the query and the form. */
static bool check_v2_signature(const char *secret, const struct request *request, struct reply *reply)
{
    size_t count = request->query.count + request->form.count;
    struct acs3_pair *all = calloc(count + 1, sizeof(*all));
    struct rpc2_signature ours;
    int r = all ? 0 : -ENOMEM;
    if (r == 0 && request->query.count)
        memcpy(all, request->query.items, request->query.count * sizeof(*all));
    if (r == 0 && request->form.count)
        memcpy(all + request->query.count, request->form.items, request->form.count * sizeof(*all));
    if (r == 0)
        r = rpc2_sign(request->method, all, count, secret, &ours);
    free(all);
    if (r < 0) {
        reply_no_memory(reply);
        return false;
    }
    const char *told = request_parameter(request, "Signature");
    bool same = strlen(told) == strlen(ours.signature) &&
                CRYPTO_memcmp(told, ours.signature, strlen(ours.signature)) == 0;
    if (!same)
        reply_error(reply, 400, "SignatureDoesNotMatch",
                    "Specified signature is not matched with our calculation. server string to sign is:%s",
                    ours.string_to_sign);
    rpc2_signature_clear(&ours);
    return same;
}

static bool check_v2(struct signatures *signatures, const struct request *request, struct reply *reply)
{
    char session_secret[SESSION_SECRET_SIZE];
    const char *secret, *wrong = wrong_v2_parameter(request);
    if (wrong) {
        reply_invalid(reply, wrong);
        return false;
    }
    return check_date(request_parameter(request, "Timestamp"), reply) &&
           find_secret(signatures, request_parameter(request, "AccessKeyId"),
                       request_parameter(request, "SecurityToken"), session_secret, &secret, reply) &&
           check_v2_signature(secret, request, reply) &&
           take_nonce(signatures, request_parameter(request, "SignatureNonce"), reply);
}

/* V2 without a format, and V3 whose Accept is XML alone, get XML from the service, which this one does not have. */
static bool check_format(const struct request *request, struct reply *reply)
{
    const char *format = request_parameter(request, "Format"), *accept = request_header(request, "accept");
    bool json = format ? strcasecmp(format, "JSON") == 0
                       : !request_is_v2(request) && !(accept && strcasecmp(accept, "application/xml") == 0);
    if (!json)
        reply_error(reply, 400, "UnsupportedParameter.Format", "This emulator answers JSON only: ask for Format=JSON.");
    return json;
}

bool signatures_check(struct signatures *signatures, const struct request *request, struct reply *reply)
{
    return check_format(request, reply) && (request_is_v2(request) ? check_v2(signatures, request, reply)
                                                                   : check_v3(signatures, request, reply));
}
