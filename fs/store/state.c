#include "fs/store/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/store/machine.h"
#include "fs/store/state_key.h"
#include "fs/store/store_file.h"
#include "kmsapi/cleanup.h"

enum { STORE_NAME_SIZE = 128 };

/* A lock that somebody holds is tried for two seconds. */
enum { LOCK_TRIES = 100, LOCK_NS = 20000000 };

/* -- the places ---------------------------------------------------------------------------- */

static bool is_path(const char *text)
{
    return text && text[0] == '/';
}

/* snprintf's result as a path's: 0 or -ENAMETOOLONG. */
static int whole(int length)
{
    return length < STATE_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

static int find_directory(const char *configured, char path[static STATE_PATH_SIZE])
{
    const char *given = getenv("STATE_DIRECTORY"), *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (configured && configured[0])
        return whole(snprintf(path, STATE_PATH_SIZE, "%s", configured));
    if (is_path(given)) /* systemd lists several with colons: the first is the service's own */
        return whole(snprintf(path, STATE_PATH_SIZE, "%.*s", (int)strcspn(given, ":"), given));
    if (geteuid() == 0)
        return whole(snprintf(path, STATE_PATH_SIZE, "/var/lib/aapfs"));
    if (is_path(state))
        return whole(snprintf(path, STATE_PATH_SIZE, "%s/aapfs", state));
    return is_path(home) ? whole(snprintf(path, STATE_PATH_SIZE, "%s/.local/state/aapfs", home))
                         : -ENOENT;
}

int state_places_find(const char *directory, const char *key, struct state_places *places, char *reason, size_t size)
{
    const char *what = "state";
    int r = find_directory(directory, places->directory);
    if (r == 0) {
        what = "state_key";
        r = state_key_place(key && key[0] ? key : NULL, places->key, sizeof(places->key), &places->may_make_key);
    }
    if (r < 0)
        snprintf(reason, size, "%s: %s", what,
                 r == -ENOENT ? "there is no home directory for it; give it in the configuration"
                              : strerror(-r));
    return r;
}

/* -- opening ------------------------------------------------------------------------------- */

static int open_directory(const char *path, bool make, char *reason, size_t size)
{
    int r = make ? store_file_make_path(path) : 0;
    _cleanup_(close) int directory = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    reason[0] = '\0';
    if (r == 0)
        r = directory < 0 ? -errno : store_file_check_owner(directory, path, reason, size);
    if (r == 0)
        return steal_descriptor(&directory);
    if (!reason[0])
        snprintf(reason, size, "%s: %s", path, strerror(-r));
    return r;
}

/* umount(8) does not wait for the daemon, which ends a moment later: who mounts again at once waits for that here. */
static bool lock_soon(int file)
{
    static const struct timespec while_it_ends = {.tv_nsec = LOCK_NS};
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(file, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK)
            return false;
        nanosleep(&while_it_ends, NULL);
    }
    errno = EWOULDBLOCK;
    return false;
}

static int take_lock(struct state *state, char *reason, size_t size)
{
    state->lock = openat(state->directory, ".lock", O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (state->lock >= 0 && lock_soon(state->lock))
        return 0;
    int r = errno == EWOULDBLOCK ? -EBUSY : -errno;
    snprintf(reason, size, "%s: %s", state->path,
             r == -EBUSY ? "another aapfs uses it; give this mount a state of its own"
                         : strerror(-r));
    return r;
}

/* A store's name: REGION-ACCOUNT. */
static bool split_name(const char *name, char region[static STORE_NAME_SIZE], char account[static ACCOUNT_SIZE])
{
    const char *dash = strrchr(name, '-');
    size_t digits = dash ? strlen(dash + 1) : 0;
    if (digits < 1 || digits >= ACCOUNT_SIZE || strspn(dash + 1, "0123456789") != digits ||
        dash == name || dash - name >= STORE_NAME_SIZE || name[0] == '.')
        return false;
    snprintf(region, STORE_NAME_SIZE, "%.*s", (int)(dash - name), name);
    memcpy(account, dash + 1, digits + 1);
    return true;
}

/* The stores' names, one at a time: 1, 0 at the end, or negative errno. */
static int next_store(DIR *entries, char region[static STORE_NAME_SIZE], char account[static ACCOUNT_SIZE])
{
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(entries)))
        if (split_name(entry->d_name, region, account))
            return 1;
    return -errno;
}

static int has_stores(const struct state *state)
{
    char region[STORE_NAME_SIZE], account[ACCOUNT_SIZE];
    _cleanup_(closedir) DIR *entries = store_file_list(state->directory, ".");
    return entries ? next_store(entries, region, account) : -errno;
}

int state_open_key(const struct state_places *places, struct state *state, char *reason, size_t size)
{
    int file = state_key_open(places->key, reason, size);
    if (file >= 0) {
        state->key = file;
        return 0;
    }
    if (file == -ENOENT)
        snprintf(reason, size, "%s: there is no state key", places->key);
    return file;
}

static int find_key(const struct state_places *places, struct state *state, char *reason, size_t size)
{
    int r = state_open_key(places, state, reason, size);
    if (r != -ENOENT)
        return r;
    int stores = has_stores(state);
    if (stores < 0)
        snprintf(reason, size, "%s: %s", state->path, strerror(-stores));
    else if (stores > 0)
        snprintf(reason, size, "%s: the state key is missing, and keys in %s were sealed with it; put it back, or move "
                 "%s away", places->key, state->path, state->path);
    else if (!places->may_make_key)
        snprintf(reason, size, "%s: there is no state key; make one: (umask 077; openssl rand -hex 32 > %s)",
                 places->key, places->key);
    else
        return 0;
    return stores < 0 ? stores : -ENOKEY;
}

int state_open(const struct state_places *places, struct state *state, char *reason, size_t size)
{
    *state = (struct state){.directory = -1, .lock = -1, .key = -1};
    memcpy(state->path, places->directory, sizeof(state->path));
    state->directory = open_directory(state->path, true, reason, size);
    int r = state->directory < 0 ? state->directory : take_lock(state, reason, size);
    if (r == 0)
        r = find_key(places, state, reason, size);
    if (r < 0)
        state_close(state);
    return r;
}

int state_open_to_read(const struct state_places *places, struct state *state, char *reason, size_t size)
{
    *state = (struct state){.directory = -1, .lock = -1, .key = -1};
    memcpy(state->path, places->directory, sizeof(state->path));
    int directory = open_directory(state->path, false, reason, size);
    if (directory < 0)
        return directory;
    state->directory = directory;
    int r = state_open_key(places, state, reason, size);
    if (r < 0)
        state_close(state);
    return r == -ENOENT ? -ENOKEY : r;
}

void state_close(struct state *state)
{
    cleanup_close(&state->key);
    cleanup_close(&state->lock);
    cleanup_close(&state->directory);
}

int state_make_key(const struct state_places *places, char *reason, size_t size)
{
    return state_key_make(places->key, reason, size);
}

/* -- the store ----------------------------------------------------------------------------- */

int state_find_account(const struct state *state, const char *region, char account[static ACCOUNT_SIZE],
                       char *reason, size_t size)
{
    char found[STORE_NAME_SIZE], whose[ACCOUNT_SIZE];
    _cleanup_(closedir) DIR *entries = store_file_list(state->directory, ".");
    int r = entries ? 0 : -errno;
    account[0] = '\0';
    while (r == 0 && (r = next_store(entries, found, whose)) > 0) {
        r = -EINVAL;
        if (strcmp(found, region) != 0)
            snprintf(reason, size, "%s: it holds keys of the region %s, not of %s; give this mount a state "
                                   "of its own", state->path, found, region);
        else if (account[0])
            snprintf(reason, size, "%s: it holds keys of two accounts, %s and %s; move %s-%s or %s-%s away",
                     state->path, account, whose, region, account, region, whose);
        else
            r = 0;
        if (r == 0)
            memcpy(account, whose, sizeof(whose));
    }
    if (r < 0 && r != -EINVAL)
        snprintf(reason, size, "%s: %s", state->path, strerror(-r));
    return r;
}

static int read_key(const struct state *state, unsigned char key[static SEAL_KEY_SIZE], char *reason, size_t size)
{
    int r = state_key_read(state->key, key);
    if (r < 0)
        snprintf(reason, size, "the state key: %s",
                 r == -EINVAL ? "its file does not hold 64 hexadecimal digits and nothing else; right is what openssl rand -hex 32 prints"
                              : strerror(-r));
    return r;
}

int state_check(const struct state *state, const char *region, char *reason, size_t size)
{
    unsigned char key[SEAL_KEY_SIZE];
    char account[ACCOUNT_SIZE];
    struct store *store = NULL;
    int r = state_find_account(state, region, account, reason, size);
    if (r == 0 && account[0])
        r = state_open_store_to_read(state, region, account, &store, reason, size);
    else if (r == 0)
        r = read_key(state, key, reason, size);
    store_close(store);
    OPENSSL_cleanse(key, sizeof(key));
    return r;
}

typedef int open_function(const struct store_place *place, const struct record_owner *owner,
                          const unsigned char key[static SEAL_KEY_SIZE], struct store **store,
                          char *reason, size_t size);

static int open_store(const struct state *state, const char *region, const char *account,
                      open_function *open_it, struct store **store, char *reason, size_t size)
{
    unsigned char key[SEAL_KEY_SIZE];
    char name[STORE_NAME_SIZE + ACCOUNT_SIZE];
    int r = read_key(state, key, reason, size);
    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "%s-%s", region, account);
    r = open_it(&(struct store_place){state->directory, name, state->path},
                &(struct record_owner){account, region}, key, store, reason, size);
    OPENSSL_cleanse(key, sizeof(key));
    return r;
}

int state_open_store(const struct state *state, const char *region, const char *account,
                     struct store **store, char *reason, size_t size)
{
    int r = has_stores(state);
    if (r == 0)
        r = machine_note(state->directory, MACHINE_ID_FILE);
    if (r < 0) {
        snprintf(reason, size, "%s: %s", state->path, strerror(-r));
        return r;
    }
    return open_store(state, region, account, store_open, store, reason, size);
}

int state_open_store_to_read(const struct state *state, const char *region, const char *account,
                             struct store **store, char *reason, size_t size)
{
    return open_store(state, region, account, store_open_to_read, store, reason, size);
}
