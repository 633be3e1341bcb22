#include "fs/store/store_load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/store/store_file.h"
#include "fs/store/store_intent.h"
#include "fs/store/store_parts.h"
#include "kmsapi/cleanup.h"

/* -- loading ------------------------------------------------------------------------------- */

static int read_intent(struct store *store, const char *path, struct record *record)
{
    struct store_file file;
    char aap_name[256], name[64];
    *record = (struct record){0};
    int r = store_file_read(store->directory, path, RECORD_SIZE_MOST, &file);
    if (r < 0)
        return r;
    if (!record_told(file.data, file.size, "AapName", aap_name, sizeof(aap_name)))
        aap_name[0] = '\0';
    r = record_open(store->key, &store->owner, aap_name, "", file.data, file.size, record);
    store_file_clear(&file);
    store_name_of(record->intent, "intent", name);
    return r == 0 && strcmp(name, path) != 0 ? -EBADMSG : r;
}

/* One place in the store. AAP_NAME NULL: an intent, whose header has to tell it. */
static void load_one(struct store *store, const char *path, const char *aap_name,
                     const char *client_key_id, store_found *found, void *user)
{
    struct record record;
    int r = aap_name ? store_read(store, aap_name, client_key_id, &record) : read_intent(store, path, &record);
    found(user, r < 0 ? NULL : &record, path, r);
    record_clear(&record);
}

/* What was never renamed: it was written by a worker that died, and is of no use. */
static bool is_unfinished(const char *name)
{
    size_t size = strlen(name);
    return name[0] == '.' && size > 4 && strcmp(name + size - 4, ".new") == 0;
}

/* OWNS: nobody else uses the store, and what is of no use goes. */
static int load_aap(struct store *store, const char *aap_name, bool owns, store_found *found, void *user)
{
    _cleanup_(closedir) DIR *entries = store_file_list(store->directory, aap_name);
    const struct dirent *entry;
    char path[STORE_PATH_SIZE];
    if (!entries)
        return -errno;
    while (errno = 0, (entry = readdir(entries))) {
        if (owns && is_unfinished(entry->d_name))
            (void)unlinkat(dirfd(entries), entry->d_name, 0); /* the next start tries again */
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(path, sizeof(path), "%s/%s", aap_name, entry->d_name) < (int)sizeof(path))
            load_one(store, path, aap_name, entry->d_name, found, user);
    }
    return -errno;
}

/* The record in a room that was filled: 1. 0: it is empty, or half filled. Or negative errno. */
static int read_room(struct store *store, const char *room, struct record *record)
{
    struct store_file file;
    char aap[256], id[256];
    *record = (struct record){0};
    int r = store_file_read(store->directory, room, RECORD_SIZE_MOST, &file);
    if (r < 0)
        return r;
    bool whole = record_told(file.data, file.size, "AapName", aap, sizeof(aap)) &&
                 record_told(file.data, file.size, "ClientKeyId", id, sizeof(id)) &&
                 store_is_file_name(aap) && store_is_file_name(id) &&
                 record_open(store->key, &store->owner, aap, id, file.data, file.size, record) == 0;
    store_file_clear(&file);
    return whole;
}

/*
 * A room that was filled when its worker died holds a key that nobody else has: it is put in its place. Its
 * intent, which is still there, says that this name is to be synced. What any other room was for is in its intent too.
 */
static int recover_room(struct store *store, const char *room)
{
    struct record record;
    char path[STORE_PATH_SIZE];
    int r = read_room(store, room, &record);
    if (r <= 0)
        return r;
    int length = snprintf(path, sizeof(path), "%s/%s", record.aap_name, record.client_key_id);
    r = length >= (int)sizeof(path) ? -ENAMETOOLONG : store_file_sync(store->directory, room);
    if (r == 0) /* over what is there: the same key's, from before a power loss */
        r = store_move_room(store, room, record.aap_name, path);
    record_clear(&record);
    return r;
}

enum pass { PASS_ROOMS, PASS_KEYS, PASS_INTENTS };

static bool begins_with(const char *name, const char *head)
{
    return strncmp(name, head, strlen(head)) == 0;
}

/* Goes through the top directory: puts rooms in their places, or tells the keys, or the intents. */
static int walk(struct store *store, enum pass pass, store_found *found, void *user)
{
    _cleanup_(closedir) DIR *entries = store_file_list(store->directory, ".");
    const struct dirent *entry;
    if (!entries)
        return -errno;
    while (errno = 0, (entry = readdir(entries))) {
        const char *name = entry->d_name;
        int r = 0;
        if (pass == PASS_ROOMS && begins_with(name, ".room-"))
            r = recover_room(store, name);
        else if (pass == PASS_KEYS && name[0] != '.')
            r = load_aap(store, name, true, found, user);
        else if (pass == PASS_INTENTS && is_unfinished(name))
            (void)unlinkat(store->directory, name, 0);
        else if (pass == PASS_INTENTS && begins_with(name, ".intent-"))
            load_one(store, name, NULL, "", found, user);
        if (r < 0)
            found(user, NULL, name, r);
    }
    return -errno;
}

int store_load(struct store *store, store_found *found, void *user)
{
    int r = 0;
    for (enum pass pass = PASS_ROOMS; r == 0 && pass <= PASS_INTENTS; pass++)
        r = walk(store, pass, found, user);
    return r;
}

/* -- beside a mount ------------------------------------------------------------------------ */

/* A room that cannot be read is its mount's affair: it may be filling it right now. */
static void look_at_room(struct store *store, const char *room, const char *aap_name, store_found *found, void *user)
{
    struct record record;
    if (read_room(store, room, &record) > 0 && strcmp(record.aap_name, aap_name) == 0)
        found(user, &record, room, 0);
    record_clear(&record);
}

/* Rooms first: one that is put in its place meanwhile is found there. */
int store_look(struct store *store, const char *aap_name, store_found *found, void *user)
{
    _cleanup_(closedir) DIR *entries = store_file_list(store->directory, ".");
    const struct dirent *entry;
    if (!entries)
        return -errno;
    while (errno = 0, (entry = readdir(entries)))
        if (begins_with(entry->d_name, ".room-"))
            look_at_room(store, entry->d_name, aap_name, found, user);
    int r = -errno;
    if (r == 0)
        r = load_aap(store, aap_name, false, found, user);
    return r == -ENOENT ? 0 : r;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void free_entries(struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

int store_aaps(struct store *store, void (*told)(void *user, const char *aap_name), void *user)
{
    struct dirent **aaps = NULL;
    int count = scandirat(store->directory, ".", &aaps, is_visible, alphasort);
    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        struct dirent **keys = NULL;
        int has = scandirat(store->directory, aaps[i]->d_name, &keys, is_visible, NULL);
        if (has > 0)
            told(user, aaps[i]->d_name);
        free_entries(keys, has);
    }
    free_entries(aaps, count);
    return 0;
}

const char *store_error_text(int error)
{
    return error == -EBADMSG    ? "damaged, or sealed for another place"
           : error == -EINVAL   ? "not a file of aapfs"
           : error == -EMSGSIZE ? "too large for a file of aapfs"
                                : strerror(-error);
}
