#include "fs/fleet/fleet_aap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/engine/engine.h"
#include "fs/fleet/notes.h"

struct fleet_aap *fleet_aap_find(const struct fleet *fleet, uint32_t number)
{
    const struct engine_aap *notes = engine_noted(fleet->engine, number);
    return notes ? notes->fleet : NULL;
}

struct fleet_aap *fleet_aap_make(struct fleet *fleet, uint32_t number)
{
    struct engine_aap *notes = engine_aap(fleet->engine, number);
    if (!notes || notes->fleet || !due_reserve(&fleet->due))
        return notes ? notes->fleet : NULL;
    notes->fleet = calloc(1, sizeof(*notes->fleet));
    if (notes->fleet)
        due_add(&fleet->due, &notes->fleet->due, number);
    return notes->fleet;
}

void fleet_aap_free(struct fleet *fleet, struct fleet_aap *aap)
{
    due_remove(&fleet->due, &aap->due);
    while (aap->keys) {
        struct fleet_key *key = aap->keys;
        aap->keys = key->next;
        free(key);
    }
    if (aap->under_way)
        aap->free_under_way(aap->under_way);
    free(aap->intent);
    free(aap);
}

struct fleet_key *fleet_aap_find_key(const struct fleet_aap *aap, const char *client_key_id)
{
    struct fleet_key *key = aap->keys;
    while (key && strcmp(key->id, client_key_id) != 0)
        key = key->next;
    return key;
}

struct fleet_key *fleet_aap_make_key(struct fleet_aap *aap, const char *client_key_id)
{
    struct fleet_key *key = fleet_aap_find_key(aap, client_key_id);
    if (key || !(key = calloc(1, sizeof(*key))))
        return key;
    snprintf(key->id, sizeof(key->id), "%s", client_key_id);
    key->next = aap->keys;
    aap->keys = key;
    return key;
}

void fleet_aap_forget(struct fleet_aap *aap)
{
    struct fleet_key **link = &aap->keys;
    aap->current_revision = 0;
    aap->current_known = true;
    aap->current_id[0] = '\0';
    while (*link) {
        struct fleet_key *key = *link;
        key->record = key->tombstone = 0;
        if (key->refused || key->to_delete) {
            link = &key->next;
            continue;
        }
        *link = key->next;
        free(key);
    }
}

/* What cannot be read is as good as nothing: this host's own current key goes there. */
static void read_current(const struct fleet *fleet, const struct fleet_entry *entry, struct fleet_aap *aap)
{
    struct note_current note = {0};
    char *text = NULL;
    aap->current_known = true;
    aap->current_id[0] = '\0';
    if (fleet_note_open(fleet->key, entry->key, entry->value, entry->size, &text) == 0 && note_current_take(text, &note) == 0) {
        memcpy(aap->current_id, note.client_key_id, sizeof(aap->current_id));
        aap->current_made_ns = note.made_ns;
    }
    if (text)
        OPENSSL_clear_free(text, strlen(text));
}

static void note_current(const struct fleet *fleet, const struct fleet_entry *entry, struct fleet_aap *aap)
{
    bool is_there = entry->version != 0;
    if (entry->mod_revision < aap->current_revision || (entry->mod_revision == aap->current_revision && aap->current_known))
        return;
    aap->current_revision = is_there ? entry->mod_revision : 0;
    aap->current_known = !is_there;
    if (!is_there)
        aap->current_id[0] = '\0';
    else if (entry->value)
        read_current(fleet, entry, aap);
}

struct fleet_aap *fleet_aap_note(struct fleet *fleet, const struct fleet_entry *entry, struct fleet_name *name)
{
    struct registry *registry = fleet->engine->parts.registry;
    if (fleet_name_take(fleet->prefix, entry->key, name) < 0)
        return NULL;
    registry_lock(registry);
    const struct registry_aap *known = registry_find_aap(registry, name->aap);
    uint32_t number = known ? known->number : 0;
    registry_unlock(registry);
    struct fleet_aap *aap = number ? fleet_aap_find(fleet, number) : NULL;
    if (aap && name->kind == FLEET_CURRENT)
        note_current(fleet, entry, aap);
    if (!aap || (name->kind != FLEET_CLIENT_KEY && name->kind != FLEET_DELETED) || strlen(name->id) >= CLIENT_KEY_ID_SIZE)
        return name->kind == FLEET_CURRENT ? aap : NULL;
    struct fleet_key *key = fleet_aap_make_key(aap, name->id);
    if (!key)
        return NULL;
    int64_t *revision = name->kind == FLEET_DELETED ? &key->tombstone : &key->record;
    if (entry->mod_revision >= *revision)
        *revision = entry->version ? entry->mod_revision : 0;
    return aap;
}

void fleet_aap_due(struct fleet *fleet, struct fleet_aap *aap, int64_t when_ms)
{
    due_by(&fleet->due, &aap->due, when_ms);
}
