#include "fs/fleet/records.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

static const char note_magic[] = "aapfs-note-1\n";

/* -- names ------------------------------------------------------------------------------------ */

/* By the kind: what stands behind the prefix, and the AAP. An AAP's own have a name, and those that end so an id. */
static const struct form {
    const char *before, *behind;
    bool aap, id;
} forms[] = {
    [FLEET_CHECK] = {"/check", "", false, false},
    [FLEET_HOST] = {"/hosts/", "", false, true},
    [FLEET_CURRENT] = {"/aaps/", "/current", true, false},
    [FLEET_LOCK] = {"/locks/", "", true, false},
    [FLEET_INTENT] = {"/intents/", "/", true, true},
    [FLEET_CLIENT_KEY] = {"/aaps/", "/keys/", true, true},
    [FLEET_DELETED] = {"/aaps/", "/deleted/", true, true},
    [FLEET_SERVED] = {"/served/", "/", true, true},
};

_Static_assert(FLEET_KINDS == sizeof(forms) / sizeof(forms[0]), "each has a form");

/* One part of a key: what a file's name may be, and printable. */
static bool is_id(const char *id)
{
    size_t length = strlen(id);
    if (length == 0 || length >= FLEET_ID_SIZE || id[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++)
        if (id[i] <= ' ' || id[i] > '~' || id[i] == '/')
            return false;
    return true;
}

static int put(char key[static FLEET_KEY_SIZE], const char *const parts[static 5])
{
    int length = snprintf(key, FLEET_KEY_SIZE, "%s%s%s%s%s", parts[0], parts[1], parts[2], parts[3], parts[4]);
    return length < FLEET_KEY_SIZE ? 0 : -EINVAL;
}

int fleet_name_put(const char *prefix, const struct fleet_name *name, char key[static FLEET_KEY_SIZE])
{
    const struct form *form = &forms[name->kind];
    if (form->aap != config_aap_name_is_shown(name->aap) || form->id != is_id(name->id) || (!form->aap && name->aap[0]) ||
        (!form->id && name->id[0]))
        return -EINVAL;
    return put(key, (const char *const[]){prefix, form->before, name->aap, form->behind, name->id});
}

int fleet_name_aaps(const char *prefix, char key[static FLEET_KEY_SIZE])
{
    return put(key, (const char *const[]){prefix, forms[FLEET_CURRENT].before, "", "", ""});
}

int fleet_name_aap(const char *prefix, const char *aap, char key[static FLEET_KEY_SIZE])
{
    if (!config_aap_name_is_shown(aap))
        return -EINVAL;
    return put(key, (const char *const[]){prefix, forms[FLEET_CURRENT].before, aap, "/", ""});
}

int fleet_name_all(const char *prefix, enum fleet_kind kind, const char *aap, char key[static FLEET_KEY_SIZE])
{
    const struct form *form = &forms[kind];
    if (!form->aap || !form->id || !config_aap_name_is_shown(aap))
        return -EINVAL;
    return put(key, (const char *const[]){prefix, form->before, aap, form->behind, ""});
}

int fleet_name_hosts(const char *prefix, char key[static FLEET_KEY_SIZE])
{
    return put(key, (const char *const[]){prefix, forms[FLEET_HOST].before, "", "", ""});
}

/* A copy of what is left of TEXT up to END, or all of it. False: it is longer than any. */
static bool copy(char *to, size_t room, const char *text, const char *end)
{
    size_t length = end ? (size_t)(end - text) : strlen(text);
    if (length >= room)
        return false;
    memcpy(to, text, length);
    to[length] = '\0';
    return true;
}

/* TEXT, behind the prefix, as a name of KIND. What it took apart is put together again by the caller, and so checked. */
static bool take(const char *text, enum fleet_kind kind, struct fleet_name *name)
{
    const struct form *form = &forms[kind];
    *name = (struct fleet_name){.kind = kind};
    if (strncmp(text, form->before, strlen(form->before)) != 0)
        return false;
    text += strlen(form->before);
    if (form->aap) {
        const char *end = strchrnul(text, '/');
        if (!copy(name->aap, sizeof(name->aap), text, end))
            return false;
        text = end;
    }
    if (strncmp(text, form->behind, strlen(form->behind)) != 0)
        return false;
    return copy(name->id, sizeof(name->id), text + strlen(form->behind), NULL);
}

int fleet_name_take(const char *prefix, const char *key, struct fleet_name *name)
{
    char back[FLEET_KEY_SIZE];
    size_t length = strlen(prefix);
    if (strncmp(key, prefix, length) != 0)
        return -EINVAL;
    for (unsigned int kind = 0; kind < FLEET_KINDS; kind++)
        if (take(key + length, kind, name) && fleet_name_put(prefix, name, back) == 0 && strcmp(back, key) == 0)
            return 0;
    return -EINVAL;
}

/* -- values ----------------------------------------------------------------------------------- */

int fleet_record_close(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner, const char *name,
                       const struct record *record, unsigned char **bytes, size_t *size)
{
    const struct record_owner there = {owner->account, owner->region, name};
    return record_close(key, &there, record, bytes, size);
}

int fleet_record_open(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner, const char *name,
                      const char *aap_name, const char *client_key_id, const unsigned char *bytes, size_t size,
                      struct record *record)
{
    const struct record_owner there = {owner->account, owner->region, name};
    return record_open(key, &there, aap_name, client_key_id, bytes, size, record);
}

/* Nobody's in particular: who has the key may not know the account yet. */
static struct envelope note_envelope(const struct record_owner *owner)
{
    return (struct envelope){note_magic, owner, "", ""};
}

int fleet_note_close(const unsigned char key[static SEAL_KEY_SIZE], const char *name, const char *text, unsigned char **bytes,
                     size_t *size)
{
    const struct record_owner owner = {"", "", name};
    const struct envelope envelope = note_envelope(&owner);
    return envelope_close(key, &envelope, (struct seal_text){text, strlen(text)}, bytes, size);
}

int fleet_note_open(const unsigned char key[static SEAL_KEY_SIZE], const char *name, const unsigned char *bytes, size_t size,
                    char **text)
{
    const struct record_owner owner = {"", "", name};
    const struct envelope envelope = note_envelope(&owner);
    unsigned char *body;
    size_t body_size;
    int r = envelope_open(key, &envelope, bytes, size, &body, &body_size);
    if (r < 0)
        return r;
    *text = memchr(body, '\0', body_size) ? NULL : OPENSSL_strndup((char *)body, body_size);
    r = *text ? 0 : memchr(body, '\0', body_size) ? -EINVAL : -ENOMEM;
    OPENSSL_clear_free(body, body_size);
    return r;
}
