#include "fs/keys/state_key.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/keys/store_file.h"
#include "kmsapi/cleanup.h"

enum { DIGITS = 2 * SEAL_KEY_SIZE };

static int put_path(char *path, size_t size, const char *directory, const char *name)
{
    return snprintf(path, size, "%s/%s", directory, name) < (int)size ? 0 : -ENAMETOOLONG;
}

int state_key_place(const char *configured, char *path, size_t size, bool *may_make)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    *may_make = false;
    if (credentials && credentials[0] == '/') {
        int r = put_path(path, size, credentials, "aapfs.state-key");
        if (r < 0 || access(path, F_OK) == 0)
            return r;
    }
    if (configured)
        return snprintf(path, size, "%s", configured) < (int)size ? 0 : -ENAMETOOLONG;
    *may_make = true;
    if (geteuid() == 0)
        return put_path(path, size, "/etc/aapfs", "state.key");
    if (config && config[0] == '/')
        return put_path(path, size, config, "aapfs/state.key");
    return home && home[0] == '/' ? put_path(path, size, home, ".config/aapfs/state.key") : -ENOENT;
}

static int digit(unsigned char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse(const struct store_file *file, unsigned char key[static SEAL_KEY_SIZE])
{
    if (file->size != DIGITS + 1 || file->data[DIGITS] != '\n')
        return -EINVAL;
    for (size_t i = 0; i < SEAL_KEY_SIZE; i++) {
        int high = digit(file->data[2 * i]), low = digit(file->data[2 * i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        key[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

/* A new key in a new file, synced before anything is sealed with it. */
static int make(int directory, const char *name)
{
    unsigned char key[SEAL_KEY_SIZE];
    char text[DIGITS + 2];
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

static int open_above(const char *path, bool may_make)
{
    _cleanup_(free) char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    const char *above = dirname(copy);
    if (may_make && mkdir(above, 0700) < 0 && errno != EEXIST)
        return -errno;
    int directory = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return directory < 0 ? -errno : directory;
}

static int check_access(int directory, const char *name)
{
    struct stat attributes;
    if (fstatat(directory, name, &attributes, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    bool ours = attributes.st_uid == geteuid() || attributes.st_uid == 0;
    return ours && (attributes.st_mode & 077) == 0 ? 0 : -EACCES;
}

static int read_key(int directory, const char *name, unsigned char key[static SEAL_KEY_SIZE])
{
    struct store_file file;
    int r = check_access(directory, name);
    if (r == 0)
        r = store_file_read(directory, name, DIGITS + 1, &file);
    if (r < 0)
        return r == -EMSGSIZE ? -EINVAL : r;
    r = parse(&file, key);
    store_file_clear(&file);
    if (r < 0)
        OPENSSL_cleanse(key, SEAL_KEY_SIZE);
    return r;
}

int state_key_read(const char *path, bool may_make, unsigned char key[static SEAL_KEY_SIZE],
                   char *reason, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    _cleanup_(close) int directory = open_above(path, may_make);
    int r = directory < 0 ? directory : read_key(directory, name, key);
    if (r == -ENOENT && may_make && directory >= 0) {
        r = make(directory, name);
        if (r == 0)
            r = read_key(directory, name, key);
    }
    if (r == -EACCES)
        snprintf(reason, size, "%s: others may read or write it; chmod 0600, and chown it to this user",
                 path);
    else if (r == -EINVAL)
        snprintf(reason, size, "%s: not a state key: 64 hexadecimal digits and a newline", path);
    else if (r < 0)
        snprintf(reason, size, "%s: %s", path, strerror(-r));
    return r;
}
