#include "kmsapi/kms_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsapi/base/answer_body.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/transport_error.h"

static int malformed(struct kms_error *error, const char *name, const char *what)
{
    char message[128];
    snprintf(message, sizeof(message), "KMS's answer: %s %s", name, what);
    transport_error_set(error, EIO, "Answer.Malformed", message);
    return -EIO;
}

static bool has_any(const json_t *object, const char *const *names)
{
    while (*names && !answer_body_member(object, *names))
        names++;
    return *names || answer_body_member(object, "RequestId") || json_object_size(object) == 0;
}

int kms_answer_parse(const struct transport_answer *answer, const char *const *known, json_t **object,
                     struct kms_error *error)
{
    *object = answer->body ? answer_body_json(answer->body, answer->size, false) : NULL;
    if (!*object)
        return malformed(error, "the body", "is not one JSON object");
    return has_any(*object, known) ? 0 : malformed(error, "the body", "is not of this operation");
}

int kms_answer_parse_key(const struct transport_answer *answer, const char *const *names, json_t **object,
                         struct kms_error *error)
{
    *object = answer->body ? answer_body_json(answer->body, answer->size, true) : NULL;
    if (!*object && answer->body)
        *object = answer_body_rest(answer->body, answer->size, names);
    if (!*object && answer->body)
        *object = answer_body_xml(answer->body, answer->size);
    return *object ? 0 : malformed(error, "the body", "is not one JSON object");
}

const char *kms_answer_text(const json_t *object, const char *name)
{
    const char *text = answer_body_text(answer_body_member(object, name));
    return text ? text : "";
}

int kms_answer_string(const json_t *object, const char *name, const char **value, struct kms_error *error)
{
    *value = kms_answer_text(object, name);
    return (*value)[0] ? 0 : malformed(error, name, answer_body_member(object, name) ? "is not a text" : "is missing");
}

bool kms_answer_number(const json_t *object, const char *name, size_t *value)
{
    const json_t *member = answer_body_member(object, name);
    if (!json_is_integer(member) || json_integer_value(member) < 0)
        return false;
    *value = (size_t)json_integer_value(member);
    return true;
}

static bool is_nothing(const json_t *value)
{
    return !value || json_is_null(value);
}

int kms_answer_list(const json_t *object, const char *name, const char *item, const json_t **list,
                    struct kms_error *error)
{
    *list = answer_body_member(object, name);
    if (json_is_object(*list))
        *list = json_object_size(*list) > 0 && !answer_body_member(*list, item) ? *list : answer_body_member(*list, item);
    if (is_nothing(*list))
        *list = NULL;
    return !*list || json_is_array(*list) ? 0 : malformed(error, name, "is not a list");
}

/* KMS's own example has a backslash and an n for a line's end: make it one. */
static int mend_lines(json_t *object)
{
    const char *text = kms_answer_text(object, "PublicKeyData");
    if (!strstr(text, "\\n"))
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
        {"KeyAlgorithm", &key->key_algorithm}, {"NotBefore", &key->not_before},
        {"NotAfter", &key->not_after},         {"CreateTime", &key->create_time},
        {"PublicKeyData", &key->public_key_data}, {"AapName", &key->aap_name},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        *members[i].value = kms_answer_text(object, members[i].name);
    return kms_answer_string(object, "ClientKeyId", &key->client_key_id, error);
}
