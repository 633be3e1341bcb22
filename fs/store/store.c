#include "fs/store/store_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/store/store_file.h"
#include "kmsapi/cleanup.h"

static const char check_text[] = "aapfs state 1";

enum { WHOLE_PATH_SIZE = 4352, ID_MOST = 128 };

struct store_intent {
    uint64_t number;
    char *aap_name;
    int room;   /* the file that the record is to fill */
    bool filled; /* with the record, synced */
    bool moved; /* it is filled and has its name; only syncing is left */
};

DEFINE_CLEANUP(store, struct store *, store_close)
DEFINE_CLEANUP(closedir, DIR *, closedir)

/* -- the directory ------------------------------------------------------------------------- */

static int check_access(int directory, const char *path, char *reason, size_t size)
{
    struct stat attributes;
    if (fstat(directory, &attributes) < 0)
        return -errno;
    if (attributes.st_uid == geteuid() && (attributes.st_mode & 077) == 0)
        return 0;
    snprintf(reason, size, "%s: %s; it must be this user's alone: chown it and chmod 0700", path,
             attributes.st_uid == geteuid() ? "others may look into it" : "it is another user's");
    return -EACCES;
}

/* Whether anything was sealed here: AAPs' directories and intents. A check value is made before them. */
static bool has_records(int directory)
{
    int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(closedir) DIR *entries = again < 0 ? NULL : fdopendir(again);
    const struct dirent *entry;
    while (entries && (entry = readdir(entries)))
        if (entry->d_name[0] != '.' || strncmp(entry->d_name, ".intent-", strlen(".intent-")) == 0)
            return true;
    return false;
}

/* The check value is an empty key's record: it opens under the right key, account and region only. */
static int make_check(struct store *store)
{
    char empty[] = "", text[sizeof(check_text)];
    memcpy(text, check_text, sizeof(text));
    const struct record check = {.aap_name = text, .client_key_id = empty, .key_algorithm = empty,
                                 .not_before = empty, .not_after = empty,
                                 .private_key_data = empty, .password = empty};
    unsigned char *bytes = NULL;
    size_t size = 0;
    int r = record_close(store->key, &store->owner, &check, &bytes, &size);
    if (r == 0)
        r = store_file_write(store->directory, ".check", bytes, size);
    OPENSSL_free(bytes);
    return r;
}

/* MAKE: where nothing was sealed yet, a check value is made. */
static int check_key(struct store *store, bool make, const char *path, char *reason, size_t size)
{
    struct record check;
    struct store_file file;
    int r = store_file_read(store->directory, ".check", RECORD_SIZE_MOST, &file);
    if (r == -ENOENT && !has_records(store->directory))
        return make ? make_check(store) : 0;
    if (r == 0) {
        r = record_open(store->key, &store->owner, check_text, "", file.data, file.size, &check);
        record_clear(&check);
        store_file_clear(&file);
    }
    if (r == 0 || (r != -EBADMSG && r != -EINVAL && r != -ENOENT))
        return r;
    snprintf(reason, size, "%s: %s; give the state key that it was made with", path,
             r == -ENOENT ? "its check value is missing"
                          : "the state key is not the one that it was sealed with, or it is another "
                            "account's");
    return -EKEYREJECTED;
}

static int make_directory(const struct store_place *place)
{
    int r = store_file_make_directory(place->above, place->name);
    return r < 0 ? r : store_file_sync(place->above, NULL);
}

static int open_or_check(const struct store_place *place, const struct record_owner *owner,
                         const unsigned char key[static SEAL_KEY_SIZE], bool make,
                         struct store **store, char *reason, size_t size)
{
    char path[WHOLE_PATH_SIZE];
    _cleanup_(store) struct store *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    snprintf(path, sizeof(path), "%s/%s", place->above_path, place->name);
    made->directory = -1;
    made->account = strdup(owner->account);
    made->region = strdup(owner->region);
    made->owner = (struct record_owner){made->account, made->region};
    memcpy(made->key, key, SEAL_KEY_SIZE);
    reason[0] = '\0';
    int r = !made->account || !made->region ? -ENOMEM : make ? make_directory(place) : 0;
    if (r == 0) {
        made->directory = openat(place->above, place->name,
                                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = made->directory < 0 ? -errno : check_access(made->directory, path, reason, size);
    }
    if (r == 0)
        r = check_key(made, make, path, reason, size);
    if (r < 0 && !reason[0])
        snprintf(reason, size, "%s: %s", path, strerror(-r));
    if (r == 0)
        *store = steal_pointer(&made);
    return r;
}

int store_open(const struct store_place *place, const struct record_owner *owner,
               const unsigned char key[static SEAL_KEY_SIZE], struct store **store, char *reason,
               size_t size)
{
    return open_or_check(place, owner, key, true, store, reason, size);
}

int store_open_to_read(const struct store_place *place, const struct record_owner *owner,
                       const unsigned char key[static SEAL_KEY_SIZE], struct store **store,
                       char *reason, size_t size)
{
    return open_or_check(place, owner, key, false, store, reason, size);
}

int store_check(const struct store_place *place, const struct record_owner *owner,
                const unsigned char key[static SEAL_KEY_SIZE], char *reason, size_t size)
{
    struct store *store = NULL;
    int r = store_open_to_read(place, owner, key, &store, reason, size);
    store_close(store);
    return r;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->directory >= 0)
        close(store->directory);
    free(store->account);
    free(store->region);
    OPENSSL_cleanse(store->key, sizeof(store->key));
    free(store);
}

/* -- a creation ---------------------------------------------------------------------------- */

void store_name_of(uint64_t number, const char *kind, char name[static 64])
{
    snprintf(name, 64, ".%s-%016llx", kind, (unsigned long long)number);
}

bool store_is_file_name(const char *name)
{
    return name[0] != '.' && name[0] != '\0' && strlen(name) <= 200 && !strchr(name, '/');
}

static void free_intent(struct store_intent *intent)
{
    if (intent->room >= 0)
        close(intent->room);
    free(intent->aap_name);
    free(intent);
}

/* The intent's own file: a record without a key. */
static int write_intent(struct store *store, const struct store_intent *intent,
                        const struct store_wish *wish)
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

static int fill_and_move(struct store *store, struct store_intent *intent,
                         const struct record *record)
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
    intent->moved = r == 0;
    return r;
}

int store_save(struct store *store, struct store_intent *intent, const struct record *record)
{
    char name[64];
    int r = intent->moved ? 0 : fill_and_move(store, intent, record);
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
