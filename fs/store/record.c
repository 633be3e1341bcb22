#include "fs/store/record.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "kmsapi/cleanup.h"

static const char magic[] = "aapfs-key-1\n";

DEFINE_CLEANUP(json, json_t *, json_decref)

static json_t *body_of(const struct record *record)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:I, s:I, s:b, s:b, s:b, s:I}", "KeyAlgorithm",
                     record->key_algorithm, "NotBefore", record->not_before, "NotAfter",
                     record->not_after, "PrivateKeyData", record->private_key_data, "Password",
                     record->password, "RequestId", record->request_id, "MadeNs",
                     (json_int_t)record->made_ns, "Intent", (json_int_t)record->intent,
                     "DatesGiven", record->dates_given, "Adopted", record->adopted, "Scheduled",
                     record->scheduled, "Asked", (json_int_t)record->asked);
}

int record_close(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner,
                 const struct record *record, unsigned char **bytes, size_t *size)
{
    const struct envelope envelope = {magic, owner, record->aap_name, record->client_key_id};
    _cleanup_(json) json_t *body = body_of(record);
    size_t body_size = body ? json_dumpb(body, NULL, 0, JSON_COMPACT) : 0;
    if (body_size == 0)
        return -ENOMEM;
    if (body_size > RECORD_SIZE_MOST)
        return -EMSGSIZE;
    char *text = OPENSSL_malloc(body_size);
    int r = text && json_dumpb(body, text, body_size, JSON_COMPACT) == body_size ? 0 : -ENOMEM;
    if (r == 0)
        r = envelope_close(key, &envelope, (struct seal_text){text, body_size}, bytes, size);
    OPENSSL_clear_free(text, body_size);
    return r;
}

static char *copy_member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? OPENSSL_strdup(text) : NULL;
}

static int read_body(const json_t *body, struct record *record)
{
    const json_t *made = json_object_get(body, "MadeNs"), *intent = json_object_get(body, "Intent");
    const json_t *given = json_object_get(body, "DatesGiven");
    record->key_algorithm = copy_member(body, "KeyAlgorithm");
    record->not_before = copy_member(body, "NotBefore");
    record->not_after = copy_member(body, "NotAfter");
    record->private_key_data = copy_member(body, "PrivateKeyData");
    record->password = copy_member(body, "Password");
    record->request_id = copy_member(body, "RequestId");
    record->made_ns = json_integer_value(made);
    record->intent = (uint64_t)json_integer_value(intent);
    record->dates_given = json_is_true(given);
    record->adopted = json_is_true(json_object_get(body, "Adopted")); /* absent in records before 0.2 */
    record->scheduled = json_is_true(json_object_get(body, "Scheduled"));
    record->asked = json_integer_value(json_object_get(body, "Asked"));
    /* it was sealed by us: what is missing is another version's */
    return record->key_algorithm && record->not_before && record->not_after &&
                   record->private_key_data && record->password && json_is_integer(made) &&
                   json_is_integer(intent) && json_is_boolean(given)
               ? 0
               : -EINVAL;
}

int record_open(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner, const char *aap_name,
                const char *client_key_id, const unsigned char *bytes, size_t size, struct record *record)
{
    const struct envelope envelope = {magic, owner, aap_name, client_key_id};
    unsigned char *text;
    size_t text_size;
    *record = (struct record){0};
    int r = envelope_open(key, &envelope, bytes, size, &text, &text_size);
    if (r < 0)
        return r;
    _cleanup_(json) json_t *body =
        json_loadb((const char *)text, text_size, JSON_REJECT_DUPLICATES, NULL);
    OPENSSL_clear_free(text, text_size);
    r = body ? read_body(body, record) : -EINVAL;
    record->aap_name = OPENSSL_strdup(aap_name);
    record->client_key_id = OPENSSL_strdup(client_key_id);
    if (r == 0 && (!record->aap_name || !record->client_key_id))
        r = -ENOMEM;
    if (r < 0)
        record_clear(record);
    return r;
}

bool record_told(const unsigned char *bytes, size_t size, const char *name, char *text, size_t text_size)
{
    return envelope_told(magic, bytes, size, name, text, text_size);
}

/* The I-th text of RECORD; NULL after the last. */
static char **text_of(struct record *record, size_t i)
{
    char **const texts[] = {&record->aap_name,  &record->client_key_id,    &record->key_algorithm, &record->not_before,
                            &record->not_after, &record->private_key_data, &record->password,      &record->request_id};
    return i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : NULL;
}

bool record_copy(struct record *to, const struct record *from)
{
    bool good = true;
    char **text;
    *to = *from;
    for (size_t i = 0; (text = text_of(to, i)); i++)
        if (*text && !(*text = OPENSSL_strdup(*text)))
            good = false;
    if (!good)
        record_clear(to);
    return good;
}

void record_clear(struct record *record)
{
    char **text;
    for (size_t i = 0; (text = text_of(record, i)); i++)
        if (*text)
            OPENSSL_clear_free(*text, strlen(*text));
    *record = (struct record){0};
}
