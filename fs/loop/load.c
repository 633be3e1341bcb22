#include "fs/loop/load.h"

#include <errno.h>
#include <string.h>

#include "fs/applications/notified.h"
#include "fs/base/log.h"
#include "fs/base/nanoseconds.h"
#include "fs/engine/engine.h"
#include "fs/engine/parts.h"
#include "fs/keys/judge.h"
#include "fs/model/schedule.h"
#include "fs/store/store_intent.h"
#include "fs/store/store_load.h"
#include "fs/sync/account.h"
#include "fs/sync/doubts.h"
#include "fs/sync/foreign_keys.h"

_Static_assert(PUBLISHED_COUNT == KEY_FILE_COUNT + 1, "every file of a key, and `current`");
_Static_assert(PUBLISHED_CLIENT_KEY_JSON == KEY_FILE_CLIENT_KEY_JSON + 1, "in the same order");
_Static_assert(PUBLISHED_PASSWORD == KEY_FILE_PASSWORD + 1, "in the same order");

/* It stays where it is; the others are none the worse for it. */
static void damaged(struct engine *engine, const char *path, int error)
{
    const struct engine_parts *parts = &engine->parts;
    log_error("%s/%s-%s/%s: %s; it stays where it is", parts->state->path, parts->config->region,
              account_name(engine), path, store_error_text(error));
    registry_mount(parts->registry)->damaged++;
}

static struct registry_aap *add_aap(struct engine *engine, const char *aap_name)
{
    if (!config_aap_name_is_shown(aap_name))
        return NULL;
    return registry_add_aap(engine->parts.registry, aap_name, config_for_aap(engine->parts.config, aap_name));
}

/* Fills KEY: from the forms beside RECORD, or by judging it as if it came now; *NEW: the forms are to be kept. */
static int open_key(struct engine *engine, const struct record *record, struct client_key *key, bool *new)
{
    char reason[256];
    *new = judge_restore(engine->store, record, key) < 0;
    return *new ? judge_record(engine->parts.library, record, key, reason, sizeof(reason)) : 0;
}

static int add_key(struct engine *engine, struct registry_aap *aap, const struct record *record)
{
    struct client_key forms;
    bool new;
    int r = open_key(engine, record, &forms, &new);
    if (r == -EKEYREJECTED) {
        judge_reject(aap, record);
        return 0;
    }
    const struct registry_key *key = r == 0 ? judge_admit(engine->parts.registry, aap, record, &forms) : NULL;
    client_key_clear(&forms);
    if (!key)
        return -ENOMEM;
    if (new)
        judge_keep_forms(engine->store, aap->name, key);
    return 0;
}

/* Keys were told before. */
static int add_intent(struct engine *engine, const struct registry_aap *aap, const struct record *record)
{
    if (registry_key_of_intent(aap, record->intent) || registry_rejected_intent(aap, record->intent))
        return store_finish(engine->store, aap->name, record->intent);
    if (record->adopted)
        return store_forget(engine->store, record->intent);
    doubts_add(engine, aap->number, record);
    return 0;
}

/* What the directory's listing is told with. */
struct loading {
    struct engine *engine;
    int error; /* which is this process's and not the record's */
};

static bool is_passing(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

static void found(void *user, const struct record *record, const char *path, int error)
{
    struct loading *loading = user;
    struct engine *engine = loading->engine;
    if (record) {
        struct registry_aap *aap = add_aap(engine, record->aap_name);
        if (aap) /* it goes with everything of it, or not at all */
            numbers_aap(registry_numbers(engine->parts.registry), aap->number)->removed = false;
        if (!aap)
            error = -EINVAL;
        else
            error = record->client_key_id[0] ? add_key(engine, aap, record) : add_intent(engine, aap, record);
    }
    /* without a newer key an older one would be shown: rather another start */
    if (is_passing(error))
        loading->error = error;
    else if (error < 0)
        damaged(engine, path, error);
}

/* Nobody has looked at this mount yet: what is there is simply there. */
static void show(struct registry *registry, struct registry_aap *aap)
{
    struct numbers *numbers = registry_numbers(registry);
    struct numbered_aap *numbered = numbers_aap(numbers, aap->number);
    numbered->shown = numbered->settled = true;
    for (const struct registry_key *key = aap->keys; key; key = key->next) {
        struct numbered_key *numbered_key = numbers_key(numbers, key->number);
        numbered_key->shown = numbered_key->settled = true;
    }
    if (!aap->current)
        return;
    numbered->changed_ns = aap->current->made_ns;
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
        if (i == PUBLISHED_CURRENT || aap->current->files[i - 1].data)
            numbers_show(numbers, aap->generation, (enum published_name)i, NUMBERS_SHOWN_ALWAYS);
    numbered->settled_generation = aap->generation;
}

/* An earlier worker has listed them; those without a key are nowhere else. */
static int add_known_aaps(struct engine *engine)
{
    struct numbers *numbers = registry_numbers(engine->parts.registry);
    uint32_t count = numbers_aap_count(numbers);
    for (uint32_t number = 1; number <= count; number++) {
        struct numbered_aap *numbered = numbers_aap(numbers, number);
        bool removed = numbered->removed;
        if (numbers_aap_directory(numbered) == DIRECTORY_GONE)
            continue;
        if (!add_aap(engine, numbered->name))
            return -ENOMEM;
        numbered->removed = removed; /* its directory is still to go: catch_up.c */
    }
    return 0;
}

/*
 * Those that the configuration names need no listing. One that is just leaving comes again with the listing, when it
 * has left.
 */
static void add_named_aaps(struct engine *engine)
{
    const struct config *config = engine->parts.config;
    for (size_t i = 0; i < config->aap_name_count; i++)
        (void)add_aap(engine, config->aap_names[i]); /* what has no room here, the listing counts as Hidden */
}

/* A Scheduled key became the current one when it began. */
static int64_t became_current_ns(const struct registry_key *key, int64_t now)
{
    if (!key->scheduled || schedule_waits(key, now))
        return key->made_ns;
    int64_t begun_ns = nanoseconds(key->not_before_time);
    return begun_ns > key->made_ns ? begun_ns : key->made_ns;
}

static int make_current(struct engine *engine, struct registry_aap *aap)
{
    int64_t now = engine_now(engine);
    struct registry_key *key = schedule_current(aap, now);
    if (!key)
        return 0;
    return registry_make_current(engine->parts.registry, aap, key, became_current_ns(key, now)) ? 0 : -ENOSPC;
}

int load_store(struct engine *engine)
{
    struct registry *registry = engine->parts.registry;
    registry_lock(registry);
    int r = add_known_aaps(engine);
    add_named_aaps(engine);
    struct loading loading = {.engine = engine};
    if (r == 0 && engine->store)
        r = store_load(engine->store, found, &loading);
    if (r == 0)
        r = loading.error;
    foreign_keys_load(engine);
    for (struct registry_aap *aap = registry_first_aap(registry); r == 0 && aap; aap = aap->next) {
        notified_load(engine, aap);
        r = make_current(engine, aap);
        notified_owe(engine, aap);
        if (r == 0 && engine->parts.first)
            show(registry, aap);
    }
    registry_unlock(registry);
    if (r < 0)
        log_error("%s: the keys cannot be loaded: %s", engine->parts.state->path, strerror(-r));
    return r;
}
