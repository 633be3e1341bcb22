#include "fs/keys/store.h"

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

#include "fs/keys/store_file.h"
#include "kmsapi/cleanup.h"

static const char check_text[] = "aapfs state 1";

enum { NUMBER_SIZE = 17, PATH_SIZE = 512, WHOLE_PATH_SIZE = 4352 };

struct store {
    int directory;
    char *account, *region;
    struct record_owner owner; /* points to the two above */
    unsigned char key[SEAL_KEY_SIZE];
};

struct store_intent {
    char number[NUMBER_SIZE]; /* hexadecimal */
    char *aap_name;
    int room;   /* the file that the record is to fill */
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

int store_check(const struct store_place *place, const struct record_owner *owner,
                const unsigned char key[static SEAL_KEY_SIZE], char *reason, size_t size)
{
    struct store *store = NULL;
    int r = open_or_check(place, owner, key, false, &store, reason, size);
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

static void name_of(const struct store_intent *intent, const char *kind, char name[64])
{
    snprintf(name, 64, ".%s-%s", kind, intent->number);
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
                        const char *not_before, const char *not_after)
{
    char name[64], empty[] = "";
    unsigned char *bytes = NULL;
    size_t size = 0;
    const struct record record = {
        .aap_name = intent->aap_name,
        .client_key_id = empty,
        .key_algorithm = empty,
        .not_before = (char *)(uintptr_t)not_before,
        .not_after = (char *)(uintptr_t)not_after,
        .private_key_data = empty,
        .password = empty,
    };
    int r = record_close(store->key, &store->owner, &record, &bytes, &size);
    name_of(intent, "intent", name);
    if (r == 0)
        r = store_file_write(store->directory, name, bytes, size);
    OPENSSL_free(bytes);
    return r;
}

int store_reserve(struct store *store, const char *aap_name, const char *not_before,
                  const char *not_after, struct store_intent **intent)
{
    uint64_t random;
    char name[64];
    struct store_intent *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    made->room = -1;
    made->aap_name = strdup(aap_name);
    int r = made->aap_name ? 0 : -ENOMEM;
    if (r == 0 && getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        r = -EIO;
    if (r == 0) {
        snprintf(made->number, sizeof(made->number), "%016llx", (unsigned long long)random);
        name_of(made, "room", name);
        r = store_file_make_directory(store->directory, aap_name);
    }
    if (r == 0) {
        made->room = store_file_reserve(store->directory, name, RECORD_SIZE_MOST);
        r = made->room < 0 ? made->room : 0;
    }
    if (r == 0) /* syncs the directory, the room's and the AAP's names with it */
        r = write_intent(store, made, not_before, not_after);
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

static int fill_and_move(struct store *store, struct store_intent *intent,
                         const struct record *record)
{
    char room[64], path[PATH_SIZE];
    unsigned char *bytes = NULL;
    size_t size = 0;
    name_of(intent, "room", room);
    if (snprintf(path, sizeof(path), "%s/%s", intent->aap_name, record->client_key_id) >=
        (int)sizeof(path))
        return -ENAMETOOLONG;
    int r = record_close(store->key, &store->owner, record, &bytes, &size);
    if (r == 0)
        r = store_file_fill(intent->room, bytes, size);
    if (r == 0 && renameat(store->directory, room, store->directory, path) < 0)
        r = -errno;
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
    name_of(intent, "intent", name);
    (void)unlinkat(store->directory, name, 0);
    free_intent(intent);
    return 0;
}

int store_drop(struct store *store, struct store_intent *intent)
{
    static const char *const kinds[] = {"intent", "room"};
    char name[64];
    int r = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        name_of(intent, kinds[i], name);
        /* not synced: one that comes back is settled at the next start */
        if (unlinkat(store->directory, name, 0) < 0 && errno != ENOENT)
            r = -errno;
    }
    free_intent(intent);
    return r;
}

void store_leave(struct store_intent *intent)
{
    free_intent(intent);
}

int store_remove(struct store *store, const char *aap_name, const char *client_key_id)
{
    char path[PATH_SIZE];
    if (snprintf(path, sizeof(path), "%s/%s", aap_name, client_key_id) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return store_file_remove(store->directory, aap_name, path);
}

/* -- loading ------------------------------------------------------------------------------- */

/* One place in the store. AAP_NAME NULL: an intent, whose header has to tell it. */
static void load_one(struct store *store, const char *path, const char *aap_name,
                     const char *client_key_id, store_found *found, void *user)
{
    struct store_file file;
    struct record record;
    char told[256];
    int r = store_file_read(store->directory, path, RECORD_SIZE_MOST, &file);
    if (r < 0) {
        found(user, NULL, path, r);
        return;
    }
    if (!aap_name)
        aap_name = record_told(file.data, file.size, "AapName", told, sizeof(told)) ? told : "";
    r = record_open(store->key, &store->owner, aap_name, client_key_id, file.data, file.size, &record);
    found(user, r < 0 ? NULL : &record, path, r);
    record_clear(&record);
    store_file_clear(&file);
}

static int load_aap(struct store *store, const char *aap_name, store_found *found, void *user)
{
    int below = openat(store->directory, aap_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_(closedir) DIR *entries = below < 0 ? NULL : fdopendir(below);
    const struct dirent *entry;
    char path[PATH_SIZE];
    if (!entries)
        return -errno;
    while (errno = 0, (entry = readdir(entries))) {
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(path, sizeof(path), "%s/%s", aap_name, entry->d_name) < (int)sizeof(path))
            load_one(store, path, aap_name, entry->d_name, found, user);
    }
    return -errno;
}

static bool is_file_name(const char *name)
{
    return name[0] != '.' && name[0] != '\0' && !strchr(name, '/');
}

/*
 * A room that was filled when the power went holds a key that nobody else has: it is put in its place. Any
 * other room is empty, or half filled: what it was for is in its intent.
 */
static int recover_room(struct store *store, const char *room)
{
    struct store_file file;
    struct record record = {0};
    char aap[256], id[256], path[PATH_SIZE];
    int r = store_file_read(store->directory, room, RECORD_SIZE_MOST, &file);
    if (r < 0)
        return r;
    bool whole = record_told(file.data, file.size, "AapName", aap, sizeof(aap)) &&
                 record_told(file.data, file.size, "ClientKeyId", id, sizeof(id)) &&
                 is_file_name(aap) && is_file_name(id) &&
                 record_open(store->key, &store->owner, aap, id, file.data, file.size, &record) == 0;
    record_clear(&record);
    store_file_clear(&file);
    if (!whole)
        return 0;
    if (snprintf(path, sizeof(path), "%s/%s", aap, id) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    r = store_file_make_directory(store->directory, aap);
    if (r == 0 && renameat(store->directory, room, store->directory, path) < 0)
        r = -errno;
    if (r == 0)
        r = store_file_sync(store->directory, aap);
    return r == 0 ? store_file_sync(store->directory, NULL) : r;
}

/* Goes through the top directory; ROOMS: puts those in their places, else tells the rest. */
static int walk(struct store *store, bool rooms, store_found *found, void *user)
{
    int again = openat(store->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(closedir) DIR *entries = again < 0 ? NULL : fdopendir(again);
    const struct dirent *entry;
    if (!entries)
        return -errno;
    while (errno = 0, (entry = readdir(entries))) {
        const char *name = entry->d_name;
        size_t size = strlen(name);
        bool temporary = size > 4 && strcmp(name + size - 4, ".new") == 0 && name[0] == '.';
        int r = 0;
        if (rooms && strncmp(name, ".room-", strlen(".room-")) == 0)
            r = recover_room(store, name);
        else if (!rooms && strncmp(name, ".intent-", strlen(".intent-")) == 0 && !temporary)
            load_one(store, name, NULL, "", found, user);
        else if (!rooms && name[0] != '.')
            r = load_aap(store, name, found, user);
        if (r < 0)
            found(user, NULL, name, r);
    }
    return -errno;
}

int store_load(struct store *store, store_found *found, void *user)
{
    int r = walk(store, true, found, user);
    return r < 0 ? r : walk(store, false, found, user);
}
