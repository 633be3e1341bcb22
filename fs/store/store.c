#include "fs/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/store/store_file.h"
#include "fs/store/store_parts.h"
#include "kmsapi/cleanup.h"

static const char check_text[] = "aapfs state 1", note_name[] = ".told";

enum { WHOLE_PATH_SIZE = 4352, NOTE_SIZE_MOST = 4096 };

DEFINE_CLEANUP(store, struct store *, store_close)

/* -- the directory ------------------------------------------------------------------------- */

/* Whether anything was sealed here: AAPs' directories and intents. A check value is made before them. */
static bool has_records(int directory)
{
    _cleanup_(closedir) DIR *entries = store_file_list(directory, ".");
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
        made->directory = openat(place->above, place->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = made->directory < 0 ? -errno : store_file_check_owner(made->directory, path, reason, size);
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
               const unsigned char key[static SEAL_KEY_SIZE], struct store **store, char *reason, size_t size)
{
    return open_or_check(place, owner, key, true, store, reason, size);
}

int store_open_to_read(const struct store_place *place, const struct record_owner *owner,
                       const unsigned char key[static SEAL_KEY_SIZE], struct store **store, char *reason, size_t size)
{
    return open_or_check(place, owner, key, false, store, reason, size);
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

/* -- one key ------------------------------------------------------------------------------- */

int store_read(struct store *store, const char *aap_name, const char *client_key_id, struct record *record)
{
    char path[STORE_PATH_SIZE];
    struct store_file file;
    *record = (struct record){0};
    snprintf(path, sizeof(path), "%s/%s", aap_name, client_key_id);
    int r = store_file_read(store->directory, path, RECORD_SIZE_MOST, &file);
    if (r < 0)
        return r;
    r = record_open(store->key, &store->owner, aap_name, client_key_id, file.data, file.size, record);
    store_file_clear(&file);
    return r;
}

/* -- forms --------------------------------------------------------------------------------- */

static void forms_path(const char *aap_name, const char *client_key_id, char path[STORE_PATH_SIZE])
{
    snprintf(path, STORE_PATH_SIZE, "%s/.%s.forms", aap_name, client_key_id);
}

int store_write_forms(struct store *store, const char *aap_name, const char *client_key_id, const struct forms *forms)
{
    char path[STORE_PATH_SIZE];
    unsigned char *bytes = NULL;
    size_t size = 0;
    int r = forms_close(store->key, &store->owner, aap_name, client_key_id, forms, &bytes, &size);
    forms_path(aap_name, client_key_id, path);
    if (r == 0)
        r = store_file_write_unsynced(store->directory, path, bytes, size);
    OPENSSL_free(bytes);
    return r;
}

int store_read_forms(struct store *store, const char *aap_name, const char *client_key_id, struct forms *forms)
{
    char path[STORE_PATH_SIZE];
    struct store_file file;
    *forms = (struct forms){0};
    forms_path(aap_name, client_key_id, path);
    int r = store_file_read(store->directory, path, ENVELOPE_SIZE_MOST, &file);
    if (r < 0)
        return r;
    r = forms_open(store->key, &store->owner, aap_name, client_key_id, file.data, file.size, forms);
    store_file_clear(&file);
    return r;
}

int store_remove(struct store *store, const char *aap_name, const char *client_key_id)
{
    char path[STORE_PATH_SIZE];
    forms_path(aap_name, client_key_id, path);
    (void)unlinkat(store->directory, path, 0); /* without its record it says nothing */
    snprintf(path, sizeof(path), "%s/%s", aap_name, client_key_id);
    return store_file_remove(store->directory, aap_name, path);
}

int store_remove_aap(struct store *store, const char *aap_name)
{
    _cleanup_(closedir) DIR *entries = store_file_list(store->directory, aap_name);
    const struct dirent *entry;
    int r = 0;
    if (!entries)
        return errno == ENOENT ? 0 : -errno;
    while (errno = 0, (entry = readdir(entries)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(entries), entry->d_name, 0) < 0)
            r = -errno;
    if (r == 0)
        r = -errno;
    if (r == 0 && unlinkat(store->directory, aap_name, AT_REMOVEDIR) < 0)
        r = -errno;
    return r < 0 ? r : store_file_sync(store->directory, NULL);
}

/* -- a note -------------------------------------------------------------------------------- */

int store_write_note(struct store *store, const char *aap_name, const void *data, size_t size)
{
    _cleanup_(close) int directory =
        openat(store->directory, aap_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return directory < 0 ? -errno : store_file_write(directory, note_name, data, size);
}

int store_read_note(struct store *store, const char *aap_name, struct store_file *file)
{
    char path[STORE_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/%s", aap_name, note_name);
    return store_file_read(store->directory, path, NOTE_SIZE_MOST, file);
}
