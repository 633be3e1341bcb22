#include "fs/store/state_key.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/base/secret_file.h"
#include "fs/store/store_file.h"
#include "kmsapi/cleanup.h"

enum { DIGITS = 2 * SEAL_KEY_SIZE, BEHIND_MOST = 16, TEXT_SIZE = DIGITS + BEHIND_MOST + 1 };

/* Also the configuration's, which everybody's mount reads. */
static const char root_directory[] = "/etc/aapfs";

static int put_path(char *path, size_t size, const char *directory, const char *name)
{
    return snprintf(path, size, "%s/%s", directory, name) < (int)size ? 0 : -ENAMETOOLONG;
}

int state_key_given(const char *credential, const char *configured, char *path, size_t size)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (credentials && credentials[0] == '/') {
        int r = put_path(path, size, credentials, credential);
        if (r < 0 || access(path, F_OK) == 0)
            return r;
    }
    if (!configured)
        return -ENOENT;
    return snprintf(path, size, "%s", configured) < (int)size ? 0 : -ENAMETOOLONG;
}

int state_key_place(const char *configured, char *path, size_t size, bool *may_make)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int r = state_key_given("aapfs.state-key", configured, path, size);
    *may_make = r == -ENOENT;
    if (r != -ENOENT)
        return r;
    if (geteuid() == 0)
        return put_path(path, size, root_directory, "state.key");
    if (config && config[0] == '/')
        return put_path(path, size, config, "aapfs/state.key");
    return home && home[0] == '/' ? put_path(path, size, home, ".config/aapfs/state.key") : -ENOENT;
}

static int digit(unsigned char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Whoever wrote it ended the line somehow, or not at all: what is blank behind the digits does not matter. */
static int parse(const char text[static TEXT_SIZE], ssize_t size, unsigned char key[static SEAL_KEY_SIZE])
{
    if (size < DIGITS || size == TEXT_SIZE)
        return -EINVAL;
    for (ssize_t i = DIGITS; i < size; i++)
        if (!text[i] || !strchr(" \t\r\n", text[i]))
            return -EINVAL;
    for (size_t i = 0; i < SEAL_KEY_SIZE; i++) {
        int high = digit((unsigned char)text[2 * i]), low = digit((unsigned char)text[2 * i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        key[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

int state_key_read(int file, unsigned char key[static SEAL_KEY_SIZE])
{
    char text[TEXT_SIZE]; /* one byte more than is taken */
    ssize_t size = pread(file, text, sizeof(text), 0);
    int r = size < 0 ? -errno : parse(text, size, key);
    OPENSSL_cleanse(text, sizeof(text));
    if (r < 0)
        OPENSSL_cleanse(key, SEAL_KEY_SIZE);
    return r;
}

int state_key_open(const char *path, char *reason, size_t size)
{
    return secret_file_open(path, false, reason, size);
}

/* In a new file, synced before anything is sealed with it; one that another aapfs makes at this moment stays. */
static int make_in(int directory, const char *name)
{
    unsigned char key[SEAL_KEY_SIZE];
    char text[DIGITS + 2];
    if (flock(directory, LOCK_EX) < 0)
        return -errno;
    if (faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
        return -EIO;
    for (size_t i = 0; i < sizeof(key); i++)
        snprintf(text + 2 * i, 3, "%02x", key[i]);
    text[DIGITS] = '\n';
    int r = store_file_write(directory, name, text, DIGITS + 1);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(text, sizeof(text));
    return r;
}

/* The one above is there; one that is there already stays as it is. */
static int make_open_to_all(const char *directory)
{
    if (mkdir(directory, 0755) < 0)
        return errno == EEXIST ? 0 : -errno;
    return chmod(directory, 0755) < 0 ? -errno : 0; /* whatever the umask is */
}

int state_key_make(const char *path, char *reason, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    _cleanup_(free) char *copy = strdup(path);
    int r = copy ? 0 : -ENOMEM;
    if (r == 0) {
        const char *above = dirname(copy);
        if (strcmp(above, root_directory) == 0)
            r = make_open_to_all(above);
        if (r == 0)
            r = store_file_make_path(above);
        _cleanup_(close) int directory =
            r < 0 ? -1 : open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (r == 0)
            r = directory < 0 ? -errno : make_in(directory, name);
    }
    if (r < 0)
        snprintf(reason, size, "%s: cannot be made: %s", path, strerror(-r));
    return r;
}
