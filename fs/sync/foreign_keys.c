#include "fs/sync/foreign_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/base/nanoseconds.h"
#include "fs/engine/engine.h"
#include "fs/sync/listed_ids.h"
#include "kmsapi/certificate.h"
#include "kmsapi/iso_time.h"

enum { SHOWN_MOST = 1000 }; /* of an AAP: nobody has so many, and a listing is somebody else's word */

static bool is_name(const char *text, size_t most)
{
    size_t size = strlen(text);
    return size >= 1 && size <= most && text[0] != '.' &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == size;
}

/* Made here, in whichever state it is. */
static bool is_ours(const struct registry_aap *aap, const char *id)
{
    return registry_has_private(aap, id) || registry_has_id(aap->orphans, id);
}

static bool is_new(struct engine *engine, uint32_t number, const char *id)
{
    if (!is_name(id, CLIENT_KEY_ID_SIZE - 1))
        return false;
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    size_t count = 0;
    for (const struct registry_key *key = aap->foreign; key; key = key->next)
        count++;
    bool new = count < SHOWN_MOST && !is_ours(aap, id) && !registry_find_foreign(aap, id);
    registry_unlock(engine->parts.registry);
    return new;
}

/* "" where KMS's text is no date. */
static const char *date_or_nothing(const char *text, int64_t *seconds)
{
    *seconds = 0;
    return iso_time_parse(text, strlen(text), seconds) == 0 ? text : "";
}

static void add(struct engine *engine, uint32_t number, const struct kms_client_key *listed)
{
    struct client_key forms = {0};
    int64_t made = 0;
    (void)date_or_nothing(listed->create_time, &made);
    struct registry_new_key new_key = {
        .client_key_id = listed->client_key_id,
        .key_algorithm = is_name(listed->key_algorithm, 64) ? listed->key_algorithm : "",
        .made_ns = made ? nanoseconds(made) : clock_local_ns(),
        .forms = &forms,
    };
    new_key.not_before = date_or_nothing(listed->not_before, &new_key.not_before_time);
    new_key.not_after = date_or_nothing(listed->not_after, &new_key.not_after_time);
    (void)certificate_read(listed->public_key_data, &forms.certificate_pem); /* what is none has no file */
    registry_lock(engine->parts.registry);
    (void)registry_add_foreign(engine->parts.registry, registry_aap(engine->parts.registry, number), &new_key);
    registry_unlock(engine->parts.registry);
    client_key_clear(&forms);
}

/* As an earlier worker has shown it. */
static void add_again(struct engine *engine, const struct numbered_foreign *place)
{
    struct registry *registry = engine->parts.registry;
    const struct numbered_key *numbered = numbers_key(registry_numbers(registry), place->key);
    struct registry_aap *aap = registry_aap(registry, numbered->aap);
    struct client_key forms = {0};
    struct registry_new_key new_key = {
        .client_key_id = numbered->client_key_id,
        .key_algorithm = place->key_algorithm,
        .made_ns = place->made_ns,
        .forms = &forms,
    };
    new_key.not_before = date_or_nothing(place->not_before, &new_key.not_before_time);
    new_key.not_after = date_or_nothing(place->not_after, &new_key.not_after_time);
    size_t size = strlen(place->certificate);
    forms.certificate_pem.data = OPENSSL_memdup(place->certificate, size + 1);
    forms.certificate_pem.size = forms.certificate_pem.data ? size : 0;
    if (aap && !is_ours(aap, numbered->client_key_id))
        (void)registry_add_foreign(registry, aap, &new_key);
    client_key_clear(&forms);
}

void foreign_keys_load(struct engine *engine)
{
    struct numbers *numbers = registry_numbers(engine->parts.registry);
    const struct numbered_foreign *place;
    for (uint32_t i = 0; (place = numbers_foreign(numbers, i)); i++)
        if (place->key)
            add_again(engine, place);
}

/* -- publications -------------------------------------------------------------------------- */

struct publishing {
    struct engine *engine;
    uint32_t aap;
    uint32_t *going; /* keys that were not listed any more: their numbers */
    size_t going_count;
    uint32_t removed; /* the key whose directory is going */
    void (*done)(struct engine *engine, int result);
};

static void find_going(struct publishing *publishing, struct registry_aap *aap, const struct listed_ids *listed)
{
    size_t count = 0;
    for (const struct registry_key *key = aap->foreign; key; key = key->next)
        count++;
    publishing->going = calloc(count + 1, sizeof(*publishing->going));
    for (struct registry_key *key = aap->foreign; publishing->going && key; key = key->next) {
        /* deleted: a command is about to remove it */
        if (key->deleted || (listed_ids_have(listed, key->client_key_id) && !is_ours(aap, key->client_key_id)))
            continue;
        key->deleted = true;
        publishing->going[publishing->going_count++] = key->number;
    }
}

/* Its directory has gone. */
static void forget(struct registry *registry, const struct publishing *publishing)
{
    struct registry_aap *aap = registry_aap(registry, publishing->aap);
    struct registry_key *key = registry_key(registry, publishing->removed);
    if (aap && key && key->deleted)
        registry_remove_key(registry, aap, key);
}

static void publish_next(void *user, int result)
{
    struct publishing *publishing = user;
    struct engine *engine = publishing->engine;
    struct registry *registry = engine->parts.registry;
    registry_lock(registry);
    if (publishing->removed)
        forget(registry, publishing);
    const struct registry_aap *aap = registry_aap(registry, publishing->aap);
    uint32_t shown = aap ? registry_key_to_show(registry, aap->foreign) : 0;
    publishing->removed = !shown && publishing->going_count > 0 ? publishing->going[--publishing->going_count] : 0;
    registry_unlock(registry);

    if (result == 0 && (shown || publishing->removed)) {
        engine_publish(engine, shown ? PUBLISH_KEY : PUBLISH_REMOVE_KEY, shown ? shown : publishing->removed, publish_next,
                       publishing);
        return;
    }
    void (*done)(struct engine *engine, int result) = publishing->done;
    free(publishing->going);
    free(publishing);
    done(engine, result);
}

void foreign_keys_show(struct engine *engine, uint32_t aap, const struct kms_client_key *keys, size_t count,
                       const struct listed_ids *listed, void (*done)(struct engine *engine, int result))
{
    struct publishing *publishing = calloc(1, sizeof(*publishing));
    if (!publishing) {
        done(engine, -ENOMEM);
        return;
    }
    *publishing = (struct publishing){.engine = engine, .aap = aap, .done = done};
    for (size_t i = 0; i < count; i++)
        if (is_new(engine, aap, keys[i].client_key_id))
            add(engine, aap, &keys[i]);
    registry_lock(engine->parts.registry);
    find_going(publishing, registry_aap(engine->parts.registry, aap), listed);
    registry_unlock(engine->parts.registry);
    publish_next(publishing, 0);
}
