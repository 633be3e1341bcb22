#include "fs/applications/notified.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/model/schedule.h"
#include "fs/store/store_file.h"
#include "kmsapi/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

/* As much as store_note.c reads, and how many ids of the greatest length that has room for. */
enum { NOTE_SIZE = 4096, GONE_NOTED = 16 };

static const struct registry_key *find_key(const struct registry_aap *aap, const char *client_key_id)
{
    const struct registry_key *key = aap->keys;
    while (key && strcmp(key->client_key_id, client_key_id) != 0)
        key = key->next;
    return key;
}

const struct registry_key *notified_in_use(const struct registry_aap *aap, int64_t now)
{
    if (!aap->current || strcmp(aap->config->on_rotate, "none") == 0 ||
        strcmp(aap->notified.client_key_id, aap->current->client_key_id) == 0)
        return NULL;
    const struct registry_key *told = find_key(aap, aap->notified.client_key_id), *used = NULL;
    for (const struct registry_key *key = aap->keys; key; key = key->next) { /* newest first */
        if (key != aap->current && !key->deleted && !schedule_waits(key, now) && key->not_after_time > now &&
            (!used || key->not_after_time < used->not_after_time))
            used = key;
        /* they may have started with any key since the one that they were told of; where that is not known, with the newest */
        if (told ? key == told : used != NULL)
            break;
    }
    return used;
}

/* Whether an older key than the current one was ever shown here, as far as that is known. */
static bool is_only_key(const struct registry_aap *aap)
{
    unsigned int count = 0;
    for (const struct registry_key *key = aap->keys; key; key = key->next)
        count += !key->deleted;
    return count == 1;
}

static void set(struct registry_aap *aap, const char *client_key_id, int64_t now)
{
    memcpy(aap->notified.client_key_id, client_key_id, strlen(client_key_id) + 1); /* a key's, or of its size */
    aap->notified.time = now;
}

int64_t notified_look(struct engine *engine, uint32_t number)
{
    struct upkeep_notes *notes = &engine_aap(engine, number)->upkeep;
    int64_t now = engine_now(engine), wait_ms = INT64_MAX;
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    const struct registry_key *current = aap->current;
    bool follow = strcmp(aap->config->on_rotate, "none") == 0;
    bool first = !aap->notified.client_key_id[0] && current && is_only_key(aap);
    if (current && (first || follow) && strcmp(aap->notified.client_key_id, current->client_key_id) != 0) {
        set(aap, current->client_key_id, now);
        notes->notified_is_changed = true;
    }
    const struct registry_key *used = notified_in_use(aap, now);
    aap->in_use_until = used ? used->not_after_time : 0;
    if (used)
        wait_ms = (used->not_after_time - now) * 1000;
    registry_unlock(engine->parts.registry);
    if (notes->notified_is_changed)
        notified_note(engine, number);
    return wait_ms;
}

void notified_set(struct engine *engine, uint32_t number, const char *client_key_id)
{
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    set(aap, client_key_id ? client_key_id : aap->current->client_key_id, engine_now(engine));
    const struct registry_key *used = notified_in_use(aap, engine_now(engine));
    aap->in_use_until = used ? used->not_after_time : 0;
    registry_unlock(engine->parts.registry);
    notified_changed(engine, number);
}

void notified_changed(struct engine *engine, uint32_t number)
{
    engine_aap(engine, number)->upkeep.notified_is_changed = true;
    engine_wake(engine, number);
}

/* -- the note ------------------------------------------------------------------------------ */

static const char *last_begun(const struct registry_aap *aap)
{
    const struct registry_key *last = NULL;
    for (const struct registry_key *key = aap->keys; key; key = key->next)
        if (key->begun && !key->deleted && (!last || key->not_before_time > last->not_before_time))
            last = key;
    return last ? last->client_key_id : "";
}

/* What began before it has begun as well. */
static void set_begun(struct registry_aap *aap, const char *client_key_id)
{
    const struct registry_key *last = aap->keys;
    while (last && !(last->scheduled && strcmp(last->client_key_id, client_key_id) == 0))
        last = last->next;
    for (struct registry_key *key = aap->keys; last && key; key = key->next)
        key->begun = key->scheduled && key->not_before_time <= last->not_before_time;
}

/* The newest: of older ones nothing depends on it. */
static json_t *gone_keys(const struct registry_aap *aap)
{
    json_t *ids = json_array();
    for (const struct registry_key *key = aap->keys; key && json_array_size(ids) < GONE_NOTED; key = key->next)
        if (key->gone && !key->deleted)
            json_array_append_new(ids, json_string(key->client_key_id));
    return ids;
}

static void set_gone(struct registry_aap *aap, const json_t *ids)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        struct registry_key *key = registry_find_key(aap, json_string_value(json_array_get(ids, i)) ?: "");
        if (key)
            key->gone = true;
    }
}

/* Only the current one's matters. */
static const char *gone_expired(const struct registry_aap *aap)
{
    return aap->current && aap->current->gone_expired ? aap->current->client_key_id : "";
}

static void set_gone_expired(struct registry_aap *aap, const char *client_key_id)
{
    struct registry_key *key = registry_find_key(aap, client_key_id);
    if (key)
        key->gone_expired = key->gone;
}

static json_t *to_json(const struct registry_aap *aap)
{
    const struct registry_hook *hook = &aap->last_hook;
    return json_pack("{s:s, s:I, s:I, s:b, s:s, s:s, s:b, s:o, s:s}", "ClientKeyId", aap->notified.client_key_id, "Time",
                     (json_int_t)aap->notified.time, "HookTime", (json_int_t)hook->time, "HookOk", hook->ok, "HookText",
                     hook->text, "Begun", last_begun(aap), "AapIsGone", aap->gone, "Gone", gone_keys(aap),
                     "GoneExpired", gone_expired(aap));
}

void notified_note(struct engine *engine, uint32_t number)
{
    char aap_name[AAP_NAME_SIZE], text[NOTE_SIZE];
    engine_aap(engine, number)->upkeep.notified_is_changed = false;
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    memcpy(aap_name, aap->name, sizeof(aap_name));
    _cleanup_(json) json_t *json = to_json(aap);
    registry_unlock(engine->parts.registry);
    size_t size = json ? json_dumpb(json, text, sizeof(text), JSON_COMPACT) : 0;
    int r = -ENOENT;
    if (size == 0 || size > sizeof(text))
        r = -ENOMEM;
    else if (engine->store)
        r = store_write_note(engine->store, aap_name, text, size);
    if (r < 0 && r != -ENOENT && r != -ENOTDIR) /* no directory: nothing of this AAP is saved yet; told with its key */
        log_error("%s: what its applications were told, and what KMS lacks, cannot be saved: %s; after a restart neither is known",
                  aap_name, strerror(-r));
}

/* A text of the size of TO, of printable characters. */
static void read_text(const json_t *json, const char *name, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(json, name));
    if (!text || strlen(text) >= size || strlen(text) != json_string_length(json_object_get(json, name)))
        return;
    for (const char *c = text; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            return;
    strcpy(to, text);
}

static int64_t read_time(const json_t *json, const char *name)
{
    int64_t time = json_integer_value(json_object_get(json, name));
    return time > 0 && time < INT64_C(253402300800) ? time : 0; /* until the year 9999 */
}

void notified_load(struct engine *engine, struct registry_aap *aap)
{
    struct store_file file;
    if (!engine->store || store_read_note(engine->store, aap->name, &file) < 0)
        file = (struct store_file){0};
    _cleanup_(json) json_t *json =
        file.data ? json_loadb((const char *)file.data, file.size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    store_file_clear(&file);
    read_text(json, "ClientKeyId", aap->notified.client_key_id, sizeof(aap->notified.client_key_id));
    aap->notified.time = read_time(json, "Time");
    struct registry_hook hook = {.time = read_time(json, "HookTime"), .ok = json_is_true(json_object_get(json, "HookOk"))};
    read_text(json, "HookText", hook.text, sizeof(hook.text));
    if (hook.time)
        aap->last_hook = hook;
    char begun[sizeof(aap->notified.client_key_id)] = "";
    read_text(json, "Begun", begun, sizeof(begun));
    set_begun(aap, begun);
    aap->gone = json_is_true(json_object_get(json, "AapIsGone"));
    set_gone(aap, json_object_get(json, "Gone"));
    char expired[sizeof(aap->notified.client_key_id)] = "";
    read_text(json, "GoneExpired", expired, sizeof(expired));
    set_gone_expired(aap, expired);
}

void notified_owe(struct engine *engine, const struct registry_aap *aap)
{
    bool told = aap->current && strcmp(aap->notified.client_key_id, aap->current->client_key_id) == 0;
    bool owed = aap->current && !told && (aap->notified.client_key_id[0] || !is_only_key(aap));
    if (engine->parts.first && owed && config_has_command(aap->config))
        numbers_aap(registry_numbers(engine->parts.registry), aap->number)->hook_owed = true;
}
