/* aapfs adopt [-m MOUNTPOINT] AAP KEYFILE PASSWORDFILE */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "fs/base/log.h"
#include "fs/base/usage.h"
#include "fs/commands/commands.h"
#include "fs/commands/control_file.h"
#include "fs/engine/control.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/wiping_memory.h"

enum { KEY_FILE_MOST = 65536, PASSWORD_FILE_MOST = 256 };

DEFINE_CLEANUP(json, json_t *, json_decref)

/* PATH's content into BYTES, which has room for one more than SIZE: how much, or negative errno after a line. */
static ssize_t read_all(const char *path, char *bytes, size_t size)
{
    _cleanup_(close) int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t count = 0;
    ssize_t got = file < 0 ? -1 : 1;
    while (got > 0 && count <= size) {
        got = read(file, bytes + count, size + 1 - count);
        count += got > 0 ? (size_t)got : 0;
    }
    int r = got < 0 ? -errno : count > size ? -EFBIG : 0;
    if (r < 0)
        log_error("%s: %s", path, r == -EFBIG ? "too large for what it should be" : strerror(-r));
    return r < 0 ? r : (ssize_t)count;
}

/* Of a text of SIZE bytes: how many at its beginning are a byte-order mark; -EINVAL: it is in UTF-16. */
static ssize_t mark_size(const char *text, size_t size)
{
    if (size >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return -EINVAL;
    return size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* base64(1) breaks lines, and the SDKs for Go and Python read over that. */
static void join_lines(json_t *file)
{
    const char *data = json_string_value(json_object_get(file, "PrivateKeyData"));
    size_t size = 0;
    char *joined = data && strpbrk(data, " \t\r\n") ? calloc(1, strlen(data) + 1) : NULL;
    if (!joined)
        return;
    for (; *data; data++)
        if (!strchr(" \t\r\n", *data))
            joined[size++] = *data;
    json_object_set_new(file, "PrivateKeyData", json_string(joined));
    OPENSSL_cleanse(joined, size);
    free(joined);
}

/* As the SDKs load it, other members are ignored; or what the command line prints for CreateClientKey. */
static json_t *parse_key_file(const char *path, const char *text, size_t size)
{
    ssize_t mark = mark_size(text, size);
    json_t *file = mark < 0 ? NULL : json_loadb(text + mark, size - (size_t)mark, 0, NULL);
    json_t *id = json_object_get(file, "KeyId");
    if ((!id || json_is_null(id)) && (id = json_object_get(file, "ClientKeyId")))
        json_object_set(file, "KeyId", id);
    join_lines(file);
    if (json_is_string(id) && json_is_string(json_object_get(file, "PrivateKeyData")))
        return file;
    if (mark < 0)
        log_error("%s: it is in UTF-16; save it as UTF-8", path);
    else
        log_error("%s: not a client key file; right is JSON with KeyId (or ClientKeyId) and PrivateKeyData", path);
    json_decref(file);
    return NULL;
}

/* NULL after a line. */
static json_t *read_key_file(const char *path)
{
    char *text = malloc(KEY_FILE_MOST + 1);
    ssize_t size = text ? read_all(path, text, KEY_FILE_MOST) : -ENOMEM;
    json_t *file = size < 0 ? NULL : parse_key_file(path, text, (size_t)size);
    OPENSSL_cleanse(text, text ? KEY_FILE_MOST + 1 : 0);
    free(text);
    return file;
}

/* Why a password file of Windows is not taken as it is; NULL: it is none. */
static const char *from_windows(const char *text, size_t size)
{
    return mark_size(text, size) != 0
               ? "it begins with a byte-order mark, which would be part of the password; save it as UTF-8 without"
           : size > 0 && text[size - 1] == '\r'
               ? "its line ends in a carriage return (CRLF, as on Windows), which would be part of the password; "
                 "end it in a newline alone" : NULL;
}

/* A trailing newline is an editor's. NULL after a line. */
static json_t *read_password(const char *path)
{
    char text[PASSWORD_FILE_MOST + 1];
    ssize_t size = read_all(path, text, PASSWORD_FILE_MOST);
    if (size > 0 && text[size - 1] == '\n')
        size--;
    const char *wrong = size < 0 ? NULL : from_windows(text, (size_t)size);
    json_t *password = size < 0 || wrong ? NULL : json_stringn(text, (size_t)size);
    OPENSSL_cleanse(text, sizeof(text));
    if (size >= 0 && !password)
        log_error("%s: %s", path, wrong ? wrong : "not a password: it is no UTF-8 text");
    return password;
}

static int adopt(const char *mountpoint, const char *aap, const char *key_path, const char *password_path)
{
    char text[CONTROL_SIZE + 1];
    _cleanup_(json) json_t *file = read_key_file(key_path);
    _cleanup_(json) json_t *password = file ? read_password(password_path) : NULL;
    _cleanup_(json) json_t *command =
        password ? json_pack("{s:O, s:O, s:O}", "KeyId", json_object_get(file, "KeyId"), "PrivateKeyData",
                             json_object_get(file, "PrivateKeyData"), "Password", password)
                 : NULL;
    if (!command)
        return -EINVAL;
    size_t size = json_dumpb(command, text, sizeof(text), JSON_COMPACT);
    int r = 0;
    if (size == 0 || size > CONTROL_SIZE) {
        log_error("%s: the key is too large: a command has at most 4096 bytes, this one would have %zu", key_path, size);
        r = -EMSGSIZE;
    } else {
        r = control_file_write(mountpoint, aap, text, size);
    }
    OPENSSL_cleanse(text, sizeof(text));
    return r < 0 ? r : control_file_print_id(mountpoint, aap);
}

int command_adopt(int count, char **words)
{
    static const struct option options[] = {USAGE_OPTION, {0}};
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT;
    int option;
    while ((option = getopt_long(count, words, "m:h", options, NULL)) != -1) {
        if (option != 'm')
            return usage_end(words[0], option);
        mountpoint = optarg;
    }
    if (count - optind != 3)
        return usage_end(words[0], '?');
    if (wiping_memory_install() < 0)
        return log_failure(1, "memory is short");
    return adopt(mountpoint, words[optind], words[optind + 1], words[optind + 2]) < 0;
}
