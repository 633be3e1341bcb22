#include "fs/etcd/answers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kmsapi/base/base64.h"
#include "kmsapi/cleanup.h"

static inline void cleanup_bytes(unsigned char **bytes)
{
    OPENSSL_free(*bytes);
    *bytes = NULL;
}

json_t *answer_parse(const char *body, size_t size)
{
    json_t *answer = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(answer))
        return answer;
    json_decref(answer);
    return NULL;
}

void answer_entries_free(struct answer_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        OPENSSL_free((void *)(uintptr_t)entries->list[i].key);
        OPENSSL_free((void *)(uintptr_t)entries->list[i].value);
    }
    free(entries->list);
    *entries = (struct answer_entries){0};
}

/* -- members ---------------------------------------------------------------------------------- */

/* Decimal digits as etcd writes them: no sign, no zeros in front. */
static int parse_integer(const char *text, int64_t *value)
{
    size_t length = strlen(text);
    *value = 0;
    if (length == 0 || (text[0] == '0' && length > 1))
        return -EBADMSG;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, *text - '0', value))
            return -EBADMSG;
    return 0;
}

/* 64 bits are a string in JSON; absent is 0. */
static int integer_of(const json_t *object, const char *name, int64_t *value)
{
    const json_t *member = json_object_get(object, name);
    *value = 0;
    if (!member)
        return 0;
    return json_is_string(member) ? parse_integer(json_string_value(member), value) : -EBADMSG;
}

/* Absent is false. */
static int flag_of(const json_t *object, const char *name, bool *flag)
{
    const json_t *member = json_object_get(object, name);
    *flag = json_is_true(member);
    return !member || json_is_boolean(member) ? 0 : -EBADMSG;
}

static int bytes_of(const json_t *object, const char *name, unsigned char **data, size_t *size)
{
    const json_t *member = json_object_get(object, name);
    *data = NULL;
    *size = 0;
    if (!member)
        return 0;
    return json_is_string(member) ? base64_decode(json_string_value(member), data, size) : -EBADMSG;
}

/* A text into ROOM of SIZE bytes, absent as ""; of one that is too long a part. */
static int text_of(const json_t *object, const char *name, char *room, size_t size)
{
    const json_t *member = json_object_get(object, name);
    room[0] = '\0';
    if (member && !json_is_string(member))
        return -EBADMSG;
    if (member)
        strncat(room, json_string_value(member), size - 1);
    return 0;
}

/* *LIST of objects; NULL: absent, which is none. */
static int list_of(const json_t *object, const char *name, const json_t **list)
{
    *list = json_object_get(object, name);
    return !*list || json_is_array(*list) ? 0 : -EBADMSG;
}

int answer_revision(const json_t *answer, int64_t *revision)
{
    const json_t *header = json_object_get(answer, "header");
    return json_is_object(header) ? integer_of(header, "revision", revision) : -EBADMSG;
}

/* -- entries ---------------------------------------------------------------------------------- */

/* Whether a key is one that we could have made. */
static bool is_ours(const unsigned char *key, size_t size)
{
    if (size == 0 || size >= FLEET_KEY_SIZE)
        return false;
    for (size_t i = 0; i < size; i++)
        if (key[i] <= ' ' || key[i] > '~')
            return false;
    return true;
}

/* KEY (SIZE bytes) is within what was asked for. */
static bool is_asked(const unsigned char *key, size_t size, const struct answer_asked *asked)
{
    size_t length = strlen(asked->key);
    return key && (asked->prefix ? size >= length : size == length) && memcmp(key, asked->key, length) == 0;
}

static int read_numbers(const json_t *object, struct fleet_entry *entry)
{
    int r = integer_of(object, "create_revision", &entry->create_revision);
    if (r == 0)
        r = integer_of(object, "mod_revision", &entry->mod_revision);
    if (r == 0)
        r = integer_of(object, "version", &entry->version);
    if (r == 0)
        r = integer_of(object, "lease", &entry->lease);
    return r < 0 ? r : entry->mod_revision > 0 ? 0 : -EBADMSG;
}

/* One key of etcd's, onto the end of ENTRIES, which has room; KEY is NULL where it could not be ours. */
static int add_entry(const json_t *object, const struct answer_asked *asked, struct answer_entries *entries)
{
    bool with_value = !asked->keys_only;
    struct fleet_entry entry = {0};
    _cleanup_(bytes) unsigned char *key = NULL, *value = NULL;
    size_t size;
    int r = json_is_object(object) ? bytes_of(object, "key", &key, &size) : -EBADMSG;
    if (r == 0 && !is_asked(key, size, asked))
        r = -EBADMSG;
    if (r == 0)
        r = read_numbers(object, &entry);
    if (r == 0 && with_value)
        r = bytes_of(object, "value", &value, &entry.size);
    if (r < 0)
        return r;
    if (!is_ours(key, size))
        cleanup_bytes(&key);
    if (with_value && !value && !(value = OPENSSL_zalloc(1))) /* an empty one is absent */
        return -ENOMEM;
    entry.key = (const char *)steal_pointer(&key);
    entry.value = steal_pointer(&value);
    entries->list[entries->count++] = entry;
    return 0;
}

/* The same, of one that is there. */
static int add_there(const json_t *object, const struct answer_asked *asked, struct answer_entries *entries)
{
    int r = add_entry(object, asked, entries);
    return r == 0 && entries->list[entries->count - 1].version == 0 ? -EBADMSG : r;
}

static void drop_foreign(struct answer_entries *entries)
{
    size_t kept = 0;
    for (size_t i = 0; i < entries->count; i++)
        if (entries->list[i].key)
            entries->list[kept++] = entries->list[i];
        else
            OPENSSL_free((void *)(uintptr_t)entries->list[i].value);
    entries->count = kept;
}

static int make_room(struct answer_entries *entries, size_t count)
{
    *entries = (struct answer_entries){.list = calloc(count ? count : 1, sizeof(*entries->list))};
    return entries->list ? 0 : -ENOMEM;
}

int answer_range(const json_t *answer, const struct answer_asked *asked, struct answer_entries *entries,
                 struct answer_last *last)
{
    const json_t *list;
    bool more;
    *last = (struct answer_last){0};
    int r = make_room(entries, json_array_size(json_object_get(answer, "kvs")));
    if (r == 0)
        r = list_of(answer, "kvs", &list);
    if (r == 0)
        r = flag_of(answer, "more", &more);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
        r = add_there(json_array_get(list, i), asked, entries);
    if (r == 0 && more && json_array_size(list) == 0)
        r = -EBADMSG;
    if (r == 0 && more)
        r = bytes_of(json_array_get(list, json_array_size(list) - 1), "key", &last->key, &last->size);
    if (r < 0)
        answer_entries_free(entries);
    drop_foreign(entries);
    return r;
}

/* What one compared key holds, as one entry. */
static int add_compared(const json_t *response, const char *key, struct answer_entries *entries)
{
    const json_t *range = json_object_get(response, "response_range"), *list = NULL;
    size_t before = entries->count;
    int r = json_is_object(range) ? list_of(range, "kvs", &list) : -EBADMSG;
    if (r == 0 && json_array_size(list) > 1)
        r = -EBADMSG;
    if (r == 0 && json_array_size(list) == 1)
        r = add_there(json_array_get(list, 0), &(struct answer_asked){.key = key}, entries);
    if (r < 0 || entries->count > before)
        return r;
    char *copy = OPENSSL_strdup(key);
    entries->list[entries->count] = (struct fleet_entry){.key = copy};
    entries->count += copy != NULL;
    return copy ? 0 : -ENOMEM;
}

int answer_commit(const json_t *answer, const struct fleet_compare *compares, size_t count, bool *done,
                  struct answer_entries *entries)
{
    const json_t *list;
    *entries = (struct answer_entries){0};
    int r = flag_of(answer, "succeeded", done);
    if (r == 0)
        r = list_of(answer, "responses", &list);
    if (r < 0 || *done)
        return r;
    if (json_array_size(list) != count)
        return -EBADMSG;
    r = make_room(entries, count);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = add_compared(json_array_get(list, i), compares[i].key, entries);
    if (r < 0)
        answer_entries_free(entries);
    return r;
}

/* -- the others ------------------------------------------------------------------------------- */

int answer_lease(const json_t *answer, int64_t *id, int64_t *ttl_s)
{
    int r = integer_of(answer, "ID", id);
    if (r == 0)
        r = integer_of(answer, "TTL", ttl_s);
    return r < 0 ? r : *id > 0 ? 0 : -EBADMSG;
}

int answer_token(const json_t *answer, char token[static ANSWER_TOKEN_SIZE])
{
    const json_t *member = json_object_get(answer, "token");
    size_t length = json_string_length(member);
    const unsigned char *text = (const unsigned char *)json_string_value(member);
    if (length == 0 || length >= ANSWER_TOKEN_SIZE)
        return -EBADMSG;
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return -EBADMSG;
    memcpy(token, text, length + 1);
    return 0;
}

static int add_event(const json_t *event, const char *prefix, struct answer_entries *entries)
{
    char type[8];
    int r = json_is_object(event) ? text_of(event, "type", type, sizeof(type)) : -EBADMSG;
    bool removed = r == 0 && strcmp(type, "DELETE") == 0;
    if (r == 0 && !removed && type[0] && strcmp(type, "PUT") != 0)
        r = -EBADMSG;
    if (r == 0)
        r = add_entry(json_object_get(event, "kv"), &(struct answer_asked){prefix, true, removed}, entries);
    if (r == 0 && removed != (entries->list[entries->count - 1].version == 0))
        r = -EBADMSG;
    return r;
}

/* In their order. */
static int read_events(const json_t *list, const char *prefix, struct answer_watch *watch)
{
    struct answer_entries *entries = &watch->entries;
    int r = make_room(entries, json_array_size(list));
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        r = add_event(json_array_get(list, i), prefix, entries);
        if (r < 0)
            break;
        int64_t before = watch->reached;
        watch->reached = entries->list[i].mod_revision;
        r = watch->reached < before ? -EBADMSG : 0;
    }
    if (json_array_size(list) == 0 && !watch->broadcast)
        watch->reached = watch->revision;
    drop_foreign(entries);
    return r;
}

/* A watch that is not there, or one that belongs to nobody, has the id -1. */
static int read_id(const json_t *answer, bool *broadcast)
{
    const char *text = json_string_value(json_object_get(answer, "watch_id"));
    int64_t id;
    *broadcast = text && strcmp(text, "-1") == 0;
    return *broadcast ? 0 : integer_of(answer, "watch_id", &id);
}

int answer_watch(const json_t *answer, const char *prefix, struct answer_watch *watch)
{
    const json_t *list;
    *watch = (struct answer_watch){0};
    int r = json_is_object(answer) ? answer_revision(answer, &watch->revision) : -EBADMSG;
    if (r == 0)
        r = text_of(json_object_get(answer, "header"), "cluster_id", watch->cluster, sizeof(watch->cluster));
    if (r == 0)
        r = flag_of(answer, "created", &watch->created);
    if (r == 0)
        r = flag_of(answer, "canceled", &watch->canceled);
    if (r == 0)
        r = flag_of(answer, "fragment", &watch->fragment);
    if (r == 0)
        r = read_id(answer, &watch->broadcast);
    if (r == 0)
        r = integer_of(answer, "compact_revision", &watch->compact_revision);
    if (r == 0)
        r = text_of(answer, "cancel_reason", watch->reason, sizeof(watch->reason));
    if (r == 0)
        r = list_of(answer, "events", &list);
    if (r == 0)
        r = read_events(list, prefix, watch);
    if (r < 0)
        answer_entries_free(&watch->entries);
    return r;
}
