#include "fs/keys/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "kmsapi/cleanup.h"

static const char magic[] = "aapfs-key-1\n";

enum { MAGIC_SIZE = sizeof(magic) - 1, HEAD_SIZE = MAGIC_SIZE + 4 };

/* A text of known size that is wiped; OPENSSL_malloc'ed. */
struct bytes {
    unsigned char *data;
    size_t size;
};

static void cleanup_bytes(struct bytes *bytes)
{
    OPENSSL_clear_free(bytes->data, bytes->size);
    *bytes = (struct bytes){0};
}

DEFINE_CLEANUP(json, json_t *, json_decref)

static bool allocate(struct bytes *bytes, size_t size)
{
    *bytes = (struct bytes){OPENSSL_malloc(size ? size : 1), size};
    return bytes->data != NULL;
}

/* OBJECT as text; false when memory is short. */
static bool write_json(const json_t *object, struct bytes *text)
{
    size_t size = object ? json_dumpb(object, NULL, 0, JSON_COMPACT) : 0;
    return size > 0 && allocate(text, size) &&
           json_dumpb(object, (char *)text->data, size, JSON_COMPACT) == size;
}

static json_t *header_of(const char *aap_name, const char *client_key_id)
{
    return json_pack("{s:s, s:s}", "AapName", aap_name, "ClientKeyId", client_key_id);
}

static json_t *body_of(const struct record *record)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:I, s:b}", "KeyAlgorithm",
                     record->key_algorithm, "NotBefore", record->not_before, "NotAfter",
                     record->not_after, "PrivateKeyData", record->private_key_data, "Password",
                     record->password, "RequestId", record->request_id, "MadeNs",
                     (json_int_t)record->made_ns, "Rejected", record->rejected);
}

/* Magic, size, header: the file's beginning. */
static void write_head(const struct bytes *header, unsigned char *out)
{
    memcpy(out, magic, MAGIC_SIZE);
    for (unsigned int i = 0; i < 4; i++)
        out[MAGIC_SIZE + i] = (unsigned char)(header->size >> (24 - 8 * i));
    memcpy(out + HEAD_SIZE, header->data, header->size);
}

/* Account and region, NUL-terminated, then the file's beginning. */
static bool associate(const struct record_owner *owner, const unsigned char *head, size_t head_size,
                      struct bytes *associated)
{
    size_t account = strlen(owner->account) + 1, region = strlen(owner->region) + 1;
    if (!allocate(associated, account + region + head_size))
        return false;
    memcpy(associated->data, owner->account, account);
    memcpy(associated->data + account, owner->region, region);
    memcpy(associated->data + account + region, head, head_size);
    return true;
}

int record_close(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner,
                 const struct record *record, unsigned char **bytes, size_t *size)
{
    _cleanup_(bytes) struct bytes header = {0}, body = {0}, file = {0}, associated = {0};
    _cleanup_(json) json_t *header_json = header_of(record->aap_name, record->client_key_id);
    _cleanup_(json) json_t *body_json = body_of(record);
    if (!write_json(header_json, &header) || !write_json(body_json, &body))
        return -ENOMEM;
    size_t head_size = HEAD_SIZE + header.size, whole = head_size + body.size + SEAL_OVERHEAD;
    if (whole > RECORD_SIZE_MOST)
        return -EMSGSIZE;
    if (!allocate(&file, whole))
        return -ENOMEM;
    write_head(&header, file.data);
    if (!associate(owner, file.data, head_size, &associated))
        return -ENOMEM;
    int r = seal_close(key, (struct seal_text){associated.data, associated.size},
                       (struct seal_text){body.data, body.size}, file.data + head_size);
    if (r < 0)
        return r;
    *size = file.size;
    *bytes = steal_pointer(&file.data);
    return 0;
}

/* The header's size: 0 when this is no record. */
static size_t header_size(const unsigned char *bytes, size_t size)
{
    size_t told = 0;
    if (size < HEAD_SIZE + SEAL_OVERHEAD || size > RECORD_SIZE_MOST ||
        memcmp(bytes, magic, MAGIC_SIZE) != 0)
        return 0;
    for (unsigned int i = 0; i < 4; i++)
        told = told << 8 | bytes[MAGIC_SIZE + i];
    return told <= size - HEAD_SIZE - SEAL_OVERHEAD ? told : 0;
}

static char *copy_member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? OPENSSL_strdup(text) : NULL;
}

static int read_body(const json_t *body, struct record *record)
{
    const json_t *made = json_object_get(body, "MadeNs");
    const json_t *rejected = json_object_get(body, "Rejected");
    record->key_algorithm = copy_member(body, "KeyAlgorithm");
    record->not_before = copy_member(body, "NotBefore");
    record->not_after = copy_member(body, "NotAfter");
    record->private_key_data = copy_member(body, "PrivateKeyData");
    record->password = copy_member(body, "Password");
    record->request_id = copy_member(body, "RequestId");
    record->made_ns = json_integer_value(made);
    record->rejected = json_is_true(rejected);
    /* it was sealed by us: what is missing is another version's */
    return record->key_algorithm && record->not_before && record->not_after &&
                   record->private_key_data && record->password && json_is_integer(made) &&
                   json_is_boolean(rejected)
               ? 0
               : -EINVAL;
}

int record_open(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner,
                const char *aap_name, const char *client_key_id, const unsigned char *bytes,
                size_t size, struct record *record)
{
    *record = (struct record){0};
    size_t head_size = header_size(bytes, size);
    if (head_size == 0)
        return -EINVAL;
    head_size += HEAD_SIZE;
    _cleanup_(bytes) struct bytes header = {0}, head = {0}, body = {0}, associated = {0};
    _cleanup_(json) json_t *header_json = header_of(aap_name, client_key_id);
    if (!write_json(header_json, &header) || !allocate(&head, HEAD_SIZE + header.size) ||
        !allocate(&body, size - head_size - SEAL_OVERHEAD) ||
        !associate(owner, bytes, head_size, &associated))
        return -ENOMEM;
    write_head(&header, head.data);
    if (head.size != head_size || memcmp(head.data, bytes, head_size) != 0)
        return -EBADMSG;
    int r = seal_open(key, (struct seal_text){associated.data, associated.size},
                      (struct seal_text){bytes + head_size, size - head_size}, body.data);
    if (r < 0)
        return r;
    _cleanup_(json) json_t *body_json =
        json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    r = body_json ? read_body(body_json, record) : -EINVAL;
    record->aap_name = OPENSSL_strdup(aap_name);
    record->client_key_id = OPENSSL_strdup(client_key_id);
    if (r == 0 && (!record->aap_name || !record->client_key_id))
        r = -ENOMEM;
    if (r < 0)
        record_clear(record);
    return r;
}

bool record_told(const unsigned char *bytes, size_t size, const char *name, char *text,
                 size_t text_size)
{
    size_t told = header_size(bytes, size);
    _cleanup_(json) json_t *header =
        told ? json_loadb((const char *)bytes + HEAD_SIZE, told, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *value = json_string_value(json_object_get(header, name));
    return value && (size_t)snprintf(text, text_size, "%s", value) < text_size;
}

void record_clear(struct record *record)
{
    char *const texts[] = {record->aap_name,   record->client_key_id,    record->key_algorithm,
                           record->not_before, record->not_after,        record->private_key_data,
                           record->password,   record->request_id};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i])
            OPENSSL_clear_free(texts[i], strlen(texts[i]));
    *record = (struct record){0};
}
