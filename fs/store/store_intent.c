#include "fs/store/store_intent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/store/store_file.h"
#include "fs/store/store_parts.h"

enum { ID_MOST = 128 };

struct store_intent {
    uint64_t number;
    char *aap_name;
    int room;   /* the file that the record is to fill */
    bool filled; /* with the record, synced */
    char moved_to[STORE_PATH_SIZE]; /* it is filled and has this name, only syncing is left; "": not yet */
};

void store_name_of(uint64_t number, const char *kind, char name[static 64])
{
    snprintf(name, 64, ".%s-%016llx", kind, (unsigned long long)number);
}

static void free_intent(struct store_intent *intent)
{
    if (intent->room >= 0)
        close(intent->room);
    free(intent->aap_name);
    free(intent);
}

/* The intent's own file: a record without a key. */
static int write_intent(struct store *store, const struct store_intent *intent, const struct store_wish *wish)
{
    char name[64], empty[] = "";
    unsigned char *bytes = NULL;
    size_t size = 0;
    const struct record record = {
        .aap_name = intent->aap_name,
        .client_key_id = empty,
        .key_algorithm = empty,
        .not_before = (char *)(uintptr_t)wish->not_before,
        .not_after = (char *)(uintptr_t)wish->not_after,
        .private_key_data = empty,
        .password = empty,
        .made_ns = wish->made_ns,
        .intent = intent->number,
        .dates_given = wish->dates_given,
        .adopted = wish->adopted,
    };
    int r = record_close(store->key, &store->owner, &record, &bytes, &size);
    store_name_of(intent->number, "intent", name);
    if (r == 0)
        r = store_file_write(store->directory, name, bytes, size);
    OPENSSL_free(bytes);
    return r;
}

/* A number that no other intent has; it is a JSON integer. */
static int choose_number(uint64_t *number)
{
    do
        if (getrandom(number, sizeof(*number), 0) != (ssize_t)sizeof(*number))
            return -EIO;
    while ((*number &= INT64_MAX) == 0);
    return 0;
}

int store_reserve(struct store *store, const struct store_wish *wish, struct store_intent **intent)
{
    char name[64];
    struct store_intent *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    made->room = -1;
    made->aap_name = strdup(wish->aap_name);
    int r = made->aap_name ? choose_number(&made->number) : -ENOMEM;
    if (r == 0) {
        store_name_of(made->number, "room", name);
        r = store_file_make_directory(store->directory, wish->aap_name);
    }
    if (r == 0) {
        made->room = store_file_reserve(store->directory, name, RECORD_SIZE_MOST);
        r = made->room < 0 ? made->room : 0;
    }
    if (r == 0) /* syncs the directory, the room's and the AAP's names with it */
        r = write_intent(store, made, wish);
    if (r < 0) {
        if (made->room >= 0)
            store_drop(store, made);
        else
            free_intent(made);
        return r;
    }
    *intent = made;
    return 0;
}

uint64_t store_intent_number(const struct store_intent *intent)
{
    return intent->number;
}

int store_move_room(struct store *store, const char *room, const char *aap_name, const char *path)
{
    if (renameat(store->directory, room, store->directory, path) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    /* somebody has taken the AAP's directory away */
    int r = store_file_make_directory(store->directory, aap_name);
    if (r == 0)
        r = store_file_sync(store->directory, NULL);
    return r < 0 ? r : renameat(store->directory, room, store->directory, path) < 0 ? -errno : 0;
}

static int fill_and_move(struct store *store, struct store_intent *intent, const struct record *record)
{
    char room[64], path[STORE_PATH_SIZE];
    unsigned char *bytes = NULL;
    size_t size = 0;
    store_name_of(intent->number, "room", room);
    if (!store_is_file_name(record->client_key_id) || strlen(record->client_key_id) > ID_MOST)
        return -EINVAL;
    snprintf(path, sizeof(path), "%s/%s", intent->aap_name, record->client_key_id);
    if (faccessat(store->directory, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    int r = record_close(store->key, &store->owner, record, &bytes, &size);
    if (r == 0 && !intent->filled) { /* once it is, it is the only copy on the disk: not touched again */
        r = store_file_fill(intent->room, bytes, size);
        intent->filled = r == 0;
    }
    if (r == 0)
        r = store_move_room(store, room, intent->aap_name, path);
    OPENSSL_free(bytes);
    if (r == 0)
        memcpy(intent->moved_to, path, sizeof(path));
    return r;
}

int store_save(struct store *store, struct store_intent *intent, const struct record *record)
{
    char name[64];
    int r = intent->moved_to[0] ? 0 : fill_and_move(store, intent, record);
    if (r == 0)
        r = store_file_sync(store->directory, intent->aap_name);
    if (r < 0)
        return r;
    /* the key is safe: an intent that stays is only settled once more at the next start */
    store_name_of(intent->number, "intent", name);
    (void)unlinkat(store->directory, name, 0);
    free_intent(intent);
    return 0;
}

int store_forget(struct store *store, uint64_t number)
{
    static const char *const kinds[] = {"intent", "room"};
    char name[64];
    int r = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        store_name_of(number, kinds[i], name);
        /* not synced: one that comes back is settled at the next start */
        if (unlinkat(store->directory, name, 0) < 0 && errno != ENOENT)
            r = -errno;
    }
    return r;
}

int store_drop(struct store *store, struct store_intent *intent)
{
    int r = store_forget(store, intent->number);
    if (intent->moved_to[0] && unlinkat(store->directory, intent->moved_to, 0) < 0 && errno != ENOENT)
        r = -errno;
    free_intent(intent);
    return r;
}

void store_leave(struct store *store, struct store_intent *intent)
{
    char name[64];
    store_name_of(intent->number, "room", name);
    (void)unlinkat(store->directory, name, 0);
    free_intent(intent);
}

int store_finish(struct store *store, const char *aap_name, uint64_t intent)
{
    int r = store_file_sync(store->directory, aap_name);
    return r < 0 ? r : store_forget(store, intent);
}
