#include "kmsapi/kms_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsapi/cleanup.h"
#include "kmsapi/transport_error.h"

static int malformed(struct kms_error *error, const char *name, const char *what)
{
    char message[128];
    snprintf(message, sizeof(message), "KMS's answer: %s %s", name, what);
    transport_error_set(error, EIO, "Answer.Malformed", message);
    return -EIO;
}

int kms_answer_parse(const struct transport_answer *answer, json_t **object,
                     const char **request_id, struct kms_error *error)
{
    *object = answer->body ? json_loadb(answer->body, answer->size, JSON_REJECT_DUPLICATES, NULL)
                           : NULL;
    if (!json_is_object(*object))
        return malformed(error, "the body", "is not one JSON object");
    int r = kms_answer_string(*object, "RequestId", true, request_id, error);
    if (r == 0 && !*request_id)
        *request_id = "";
    return r;
}

int kms_answer_string(const json_t *object, const char *name, bool optional, const char **value,
                      struct kms_error *error)
{
    const json_t *member = json_object_get(object, name);
    *value = json_string_value(member);
    if (!member)
        return optional ? 0 : malformed(error, name, "is missing");
    return *value ? 0 : malformed(error, name, "is not a string");
}

int kms_answer_number(const json_t *object, const char *name, size_t *value,
                      struct kms_error *error)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_integer(member) || json_integer_value(member) < 0)
        return malformed(error, name, "is not a count");
    *value = (size_t)json_integer_value(member);
    return 0;
}

int kms_answer_list(const json_t *object, const char *name, const char *item, const json_t **list,
                    struct kms_error *error)
{
    *list = json_object_get(object, name);
    if (json_is_object(*list))
        *list = json_object_get(*list, item);
    return json_is_array(*list) ? 0 : malformed(error, name, "is not a list");
}

/* KMS's own example has a backslash and an n for a line's end: make it one. */
static int mend_lines(json_t *object)
{
    const char *text = json_string_value(json_object_get(object, "PublicKeyData"));
    if (!text || !strstr(text, "\\n"))
        return 0;
    _cleanup_(free) char *mended = strdup(text);
    if (!mended)
        return -ENOMEM;
    char *to = mended;
    for (const char *from = mended; *from; from++) {
        bool escaped = from[0] == '\\' && from[1] == 'n';
        *to++ = escaped ? '\n' : *from;
        from += escaped;
    }
    *to = '\0';
    return json_object_set_new(object, "PublicKeyData", json_string(mended)) == 0 ? 0 : -ENOMEM;
}

int kms_answer_client_key(json_t *object, struct kms_client_key *key, struct kms_error *error)
{
    *key = (struct kms_client_key){0};
    if (!json_is_object(object))
        return malformed(error, "a client key", "is not an object");
    if (mend_lines(object) < 0)
        return malformed(error, "a client key", "finds no memory");
    const struct {
        const char *name;
        const char **value;
    } members[] = {
        {"ClientKeyId", &key->client_key_id}, {"KeyAlgorithm", &key->key_algorithm},
        {"NotBefore", &key->not_before},      {"NotAfter", &key->not_after},
        {"CreateTime", &key->create_time},    {"PublicKeyData", &key->public_key_data},
        {"AapName", &key->aap_name},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(members) / sizeof(members[0]); i++)
        r = kms_answer_string(object, members[i].name, false, members[i].value, error);
    return r;
}
