#include "fs/commands/export_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/store/store_file.h"
#include "kmsapi/cleanup.h"

/* -- a key's files ------------------------------------------------------------------------- */

static bool copy_text(struct client_key_bytes *to, const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    to->data = OPENSSL_malloc(size + end_size + 1);
    if (!to->data)
        return false;
    memcpy(to->data, text, size);
    memcpy(to->data + size, end, end_size + 1);
    to->size = size + end_size;
    return true;
}

static void take(struct client_key_bytes *to, struct client_key_bytes *from)
{
    if (from->size > 0) {
        *to = *from;
        *from = (struct client_key_bytes){0};
    }
}

struct export_key *export_key_new(const struct record *record, struct client_key *key)
{
    struct export_key *made = calloc(1, sizeof(*made));
    if (!made)
        return NULL;
    *made = (struct export_key){.made_ns = record->made_ns, .files = {
        {.name = "client_key.json", .mode = 0400},  {.name = "client_key.p12", .mode = 0400},
        {.name = "private_key_data", .mode = 0400}, {.name = "private_key.pem", .mode = 0400},
        {.name = "certificate.pem", .mode = 0444},  {.name = "client_key_id", .mode = 0444},
        {.name = "key_algorithm", .mode = 0444},    {.name = "not_before", .mode = 0444},
        {.name = "not_after", .mode = 0444},        {.name = "password", .mode = 0400}}};
    snprintf(made->client_key_id, sizeof(made->client_key_id), "%s", record->client_key_id);
    const char *const texts[] = {record->client_key_id, record->key_algorithm, record->not_before,
                                 record->not_after};
    bool good = copy_text(&made->files[9].bytes, record->password, "");
    for (size_t i = 0; good && i < sizeof(texts) / sizeof(texts[0]); i++)
        good = copy_text(&made->files[5 + i].bytes, texts[i], "\n");
    if (!good) {
        export_keys_free(made);
        return NULL;
    }
    struct client_key_bytes *const forms[] = {&key->json, &key->pkcs12, &key->private_key_data,
                                              &key->private_key_pem, &key->certificate_pem};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        take(&made->files[i].bytes, forms[i]);
    return made;
}

void export_keys_free(struct export_key *keys)
{
    while (keys) {
        struct export_key *next = keys->next;
        for (size_t i = 0; i < EXPORT_FILES; i++)
            OPENSSL_clear_free(keys->files[i].bytes.data, keys->files[i].bytes.size);
        free(keys);
        keys = next;
    }
}

/* -- the directory ------------------------------------------------------------------------- */

struct writer {
    const char *path;
    int directory;
    bool made; /* by us */
    struct written {
        char *name;
        int flags; /* unlinkat's */
    } *written;    /* in their order, to be removed the other way round */
    size_t count;
    char failed[512]; /* the name that could not be written */
};

static int is_empty(int directory)
{
    _cleanup_(closedir) DIR *entries = store_file_list(directory, ".");
    const struct dirent *entry;
    if (!entries)
        return -errno;
    while (errno = 0, (entry = readdir(entries)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return -ENOTEMPTY;
    return -errno;
}

static int open_directory(struct writer *writer)
{
    writer->made = mkdir(writer->path, 0700) == 0;
    if (!writer->made && errno != EEXIST)
        return -errno;
    writer->directory = open(writer->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return writer->directory < 0 ? -errno : is_empty(writer->directory);
}

/* Room to remember NAME, before it is there: what cannot be remembered is not made. */
static int remember(struct writer *writer, const char *name, int flags)
{
    struct written *grown = reallocarray(writer->written, writer->count + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    writer->written = grown;
    grown[writer->count] = (struct written){strdup(name), flags};
    snprintf(writer->failed, sizeof(writer->failed), "/%s", name);
    return grown[writer->count].name ? 0 : -ENOMEM;
}

/* NAME is there (RESULT 0) or is not. */
static int remembered(struct writer *writer, int result)
{
    if (result < 0)
        free(writer->written[writer->count].name);
    else
        writer->count++;
    return result;
}

static int make_directory(struct writer *writer, const char *name)
{
    int r = remember(writer, name, AT_REMOVEDIR);
    if (r == 0)
        r = remembered(writer, mkdirat(writer->directory, name, 0700) < 0 ? -errno : 0);
    if (r == 0 && fchmodat(writer->directory, name, 0755, 0) < 0) /* as in the mount, whatever the umask */
        r = -errno;
    return r;
}

static int write_file(struct writer *writer, const char *name, const struct export_file *file, int64_t made_ns)
{
    const struct timespec time = {.tv_sec = made_ns / 1000000000, .tv_nsec = made_ns % 1000000000};
    int r = remember(writer, name, 0);
    if (r < 0)
        return r;
    _cleanup_(close) int opened =
        openat(writer->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
    r = remembered(writer, opened < 0 ? -errno : 0);
    if (r == 0)
        r = store_file_fill(opened, file->bytes.data, file->bytes.size);
    if (r == 0 && (fchmod(opened, file->mode) < 0 || futimens(opened, (struct timespec[]){time, time}) < 0))
        r = -errno;
    return r;
}

/* KEY's files in BELOW, which is "" or ends in a slash. */
static int write_key(struct writer *writer, const char *below, const struct export_key *key)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < EXPORT_FILES; i++) {
        char name[256];
        snprintf(name, sizeof(name), "%s%s", below, key->files[i].name);
        if (key->files[i].bytes.data)
            r = write_file(writer, name, &key->files[i], key->made_ns);
    }
    return r;
}

static int write_link(struct writer *writer, const struct export_key *key)
{
    char target[EXPORT_ID_SIZE + 8];
    snprintf(target, sizeof(target), "keys/%s", key->client_key_id);
    int r = remember(writer, "current", 0);
    if (r == 0)
        r = remembered(writer, symlinkat(target, writer->directory, "current") < 0 ? -errno : 0);
    return r;
}

static int write_everything(struct writer *writer, const struct export_key *keys)
{
    int r = make_directory(writer, "keys");
    for (const struct export_key *key = keys; r == 0 && key; key = key->next) {
        char name[EXPORT_ID_SIZE + 8], below[EXPORT_ID_SIZE + 8];
        snprintf(name, sizeof(name), "keys/%s", key->client_key_id);
        snprintf(below, sizeof(below), "keys/%s/", key->client_key_id);
        r = make_directory(writer, name);
        if (r == 0)
            r = write_key(writer, below, key);
    }
    if (r == 0)
        r = write_link(writer, keys);
    if (r == 0)
        r = write_key(writer, "", keys);
    if (r < 0)
        return r;
    writer->failed[0] = '\0';
    return syncfs(writer->directory) < 0 ? -errno : 0;
}

static void forget(struct writer *writer, bool remove_all)
{
    while (writer->count > 0) {
        struct written *written = &writer->written[--writer->count];
        if (remove_all)
            (void)unlinkat(writer->directory, written->name, written->flags);
        free(written->name);
    }
    free(writer->written);
    if (remove_all && writer->made)
        (void)rmdir(writer->path);
    cleanup_close(&writer->directory);
}

int export_write(const char *path, const struct export_key *keys, char *reason, size_t size)
{
    struct writer writer = {.path = path, .directory = -1};
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* ^C comes before or after, not in between */
    int r = open_directory(&writer);
    if (r == 0)
        r = write_everything(&writer, keys);
    if (r < 0)
        snprintf(reason, size, "%s%s: %s", path, writer.failed,
                 r == -ENOTEMPTY ? "it is not empty; give a new or an empty directory" : strerror(-r));
    forget(&writer, r < 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}
