#include "fs/etcd/questions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "kmsapi/base/base64.h"
#include "kmsapi/openssl_cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

static char *text_of(const json_t *question)
{
    size_t size = question ? json_dumpb(question, NULL, 0, JSON_COMPACT) : 0;
    char *text = size ? OPENSSL_malloc(size + 1) : NULL;
    if (text) {
        json_dumpb(question, text, size, JSON_COMPACT);
        text[size] = '\0';
    }
    return text;
}

/* Of an object that is being made: whether NAME could be added. */
static bool add_integer(json_t *object, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    return json_object_set_new(object, name, json_string(text)) == 0;
}

static bool add_bytes(json_t *object, const char *name, const void *data, size_t size)
{
    _cleanup_(secret_string) char *text = base64_encode(data, size);
    return text && json_object_set_new(object, name, json_string(text)) == 0;
}

static bool add_text(json_t *object, const char *name, const char *text)
{
    return add_bytes(object, name, text, strlen(text));
}

/* The first key behind all that begin with PREFIX: no key of ours has a byte above '~'. */
static bool add_end(json_t *object, const char *prefix)
{
    char end[FLEET_KEY_SIZE];
    size_t length = strlen(prefix);
    if (length == 0 || length >= sizeof(end))
        return false;
    memcpy(end, prefix, length + 1);
    end[length - 1]++;
    return add_text(object, "range_end", end);
}

char *question_range(const struct question_range *range)
{
    _cleanup_(json) json_t *question = json_object();
    bool good = question && add_bytes(question, "key", range->key, range->key_size) &&
                (!range->prefix || add_end(question, range->prefix)) &&
                (!range->revision || add_integer(question, "revision", range->revision)) &&
                (!range->limit || add_integer(question, "limit", range->limit)) &&
                (!range->keys_only || json_object_set_new(question, "keys_only", json_true()) == 0);
    return good ? text_of(question) : NULL;
}

static bool add_compare(json_t *list, const struct fleet_compare *compare)
{
    static const char *const targets[] = {"VERSION", "CREATE", "MOD"};
    static const char *const names[] = {"version", "create_revision", "mod_revision"};
    json_t *one = json_pack("{s:s, s:s}", "target", targets[compare->what], "result", "EQUAL");
    return json_array_append_new(list, one) == 0 && add_text(one, "key", compare->key) &&
           add_integer(one, names[compare->what], compare->equals);
}

/* {WHAT: {"key": KEY}}, in LIST; the inner object, or NULL. */
static json_t *add_request(json_t *list, const char *what, const char *key)
{
    json_t *inner = json_object(), *outer = json_pack("{s:o}", what, inner);
    return json_array_append_new(list, outer) == 0 && add_text(inner, "key", key) ? inner : NULL;
}

static bool add_change(json_t *list, const struct fleet_change *change)
{
    json_t *put = add_request(list, change->value ? "request_put" : "request_delete_range", change->key);
    if (!change->value)
        return put;
    return put && add_bytes(put, "value", change->value, change->size) &&
           (!change->lease || add_integer(put, "lease", change->lease));
}

char *question_commit(const struct fleet_commit *commit)
{
    json_t *compares = json_array(), *changes = json_array(), *reads = json_array();
    _cleanup_(json) json_t *question = json_pack("{s:o, s:o, s:o}", "compare", compares, "success", changes, "failure", reads);
    bool good = question;
    for (size_t i = 0; good && i < commit->compare_count; i++)
        good = add_compare(compares, &commit->compares[i]) &&
               add_request(reads, "request_range", commit->compares[i].key);
    for (size_t i = 0; good && i < commit->change_count; i++)
        good = add_change(changes, &commit->changes[i]);
    return good ? text_of(question) : NULL;
}

char *question_watch(const char *prefix, int64_t revision)
{
    json_t *create = json_pack("{s:b, s:b}", "progress_notify", 1, "fragment", 1);
    _cleanup_(json) json_t *question = json_pack("{s:o}", "create_request", create);
    bool good = question && add_text(create, "key", prefix) && add_end(create, prefix) &&
                add_integer(create, "start_revision", revision);
    return good ? text_of(question) : NULL;
}

static char *integer_question(const char *name, int64_t value)
{
    _cleanup_(json) json_t *question = json_object();
    return question && add_integer(question, name, value) ? text_of(question) : NULL;
}

char *question_grant(unsigned int ttl_s)
{
    return integer_question("TTL", ttl_s);
}

char *question_lease(int64_t id)
{
    return integer_question("ID", id);
}

char *question_authenticate(const char *user, const char *password)
{
    _cleanup_(json) json_t *question = json_pack("{s:s, s:s}", "name", user, "password", password);
    return text_of(question);
}
