#include "fs/store/envelope.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "kmsapi/cleanup.h"

enum { SIZE_SIZE = 4 };

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

/* Everything in front of the body: magic, size, header. False when memory is short. */
static bool make_head(const struct envelope *envelope, struct bytes *head)
{
    _cleanup_(json) json_t *header = json_pack("{s:s, s:s}", "AapName", envelope->aap_name,
                                               "ClientKeyId", envelope->client_key_id);
    size_t size = header ? json_dumpb(header, NULL, 0, JSON_COMPACT) : 0;
    size_t magic = strlen(envelope->magic);
    if (size == 0 || !allocate(head, magic + SIZE_SIZE + size))
        return false;
    memcpy(head->data, envelope->magic, magic);
    for (unsigned int i = 0; i < SIZE_SIZE; i++)
        head->data[magic + i] = (unsigned char)(size >> (24 - 8 * i));
    return json_dumpb(header, (char *)head->data + magic + SIZE_SIZE, size, JSON_COMPACT) == size;
}

/* Account, region and, if there is one, the place, each with its NUL; then the head. */
static bool associate(const struct record_owner *owner, const struct bytes *head, struct bytes *associated)
{
    size_t account = strlen(owner->account) + 1, region = strlen(owner->region) + 1;
    size_t place = owner->place ? strlen(owner->place) + 1 : 0;
    if (!allocate(associated, account + region + place + head->size))
        return false;
    memcpy(associated->data, owner->account, account);
    memcpy(associated->data + account, owner->region, region);
    if (place)
        memcpy(associated->data + account + region, owner->place, place);
    memcpy(associated->data + account + region + place, head->data, head->size);
    return true;
}

int envelope_close(const unsigned char key[static SEAL_KEY_SIZE], const struct envelope *envelope,
                   struct seal_text body, unsigned char **bytes, size_t *size)
{
    _cleanup_(bytes) struct bytes head = {0}, file = {0}, associated = {0};
    if (!make_head(envelope, &head) || !associate(envelope->owner, &head, &associated))
        return -ENOMEM;
    if (body.size > ENVELOPE_SIZE_MOST || head.size + body.size + SEAL_OVERHEAD > ENVELOPE_SIZE_MOST)
        return -EMSGSIZE;
    if (!allocate(&file, head.size + body.size + SEAL_OVERHEAD))
        return -ENOMEM;
    memcpy(file.data, head.data, head.size);
    int r = seal_close(key, (struct seal_text){associated.data, associated.size}, body, file.data + head.size);
    if (r < 0)
        return r;
    *size = file.size;
    *bytes = steal_pointer(&file.data);
    return 0;
}

/* The size of everything in front of the body; 0 when this is no file of MAGIC. */
static size_t head_size(const char *magic, const unsigned char *bytes, size_t size)
{
    size_t told = 0, least = strlen(magic) + SIZE_SIZE;
    if (size < least + SEAL_OVERHEAD || size > ENVELOPE_SIZE_MOST || memcmp(bytes, magic, strlen(magic)) != 0)
        return 0;
    for (unsigned int i = 0; i < SIZE_SIZE; i++)
        told = told << 8 | bytes[strlen(magic) + i];
    return told > 0 && told <= size - least - SEAL_OVERHEAD ? least + told : 0;
}

int envelope_open(const unsigned char key[static SEAL_KEY_SIZE], const struct envelope *envelope,
                  const unsigned char *bytes, size_t size, unsigned char **body, size_t *body_size)
{
    size_t front = head_size(envelope->magic, bytes, size);
    if (front == 0)
        return -EINVAL;
    _cleanup_(bytes) struct bytes head = {0}, opened = {0}, associated = {0};
    if (!make_head(envelope, &head) || !associate(envelope->owner, &head, &associated) ||
        !allocate(&opened, size - front - SEAL_OVERHEAD))
        return -ENOMEM;
    if (head.size != front || memcmp(head.data, bytes, front) != 0)
        return -EBADMSG;
    int r = seal_open(key, (struct seal_text){associated.data, associated.size},
                      (struct seal_text){bytes + front, size - front}, opened.data);
    if (r < 0)
        return r;
    *body_size = opened.size;
    *body = steal_pointer(&opened.data);
    return 0;
}

bool envelope_told(const char *magic, const unsigned char *bytes, size_t size, const char *name,
                   char *text, size_t text_size)
{
    size_t front = head_size(magic, bytes, size), begin = strlen(magic) + SIZE_SIZE;
    _cleanup_(json) json_t *header =
        front ? json_loadb((const char *)bytes + begin, front - begin, JSON_REJECT_DUPLICATES, NULL)
              : NULL;
    const char *value = json_string_value(json_object_get(header, name));
    return value && (size_t)snprintf(text, text_size, "%s", value) < text_size;
}
