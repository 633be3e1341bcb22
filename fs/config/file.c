#include "fs/config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config/names.h"
#include "fs/config/parse.h"
#include "kmsapi/cleanup.h"

static const char default_file[] = "/etc/aapfs/aapfs.conf";

/* The file's text; refuses what somebody else could have written. */
static int load(const char *file, char **text, size_t *size, char *reason, size_t reason_size)
{
    _cleanup_(close) int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) < 0) {
        int r = -errno;
        snprintf(reason, reason_size, "%s: %s%s", file, strerror(-r),
                 r == -EACCES && file == default_file ? "; give one of your own with -c FILE" : "");
        return r;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > CONFIG_FILE_MOST) {
        snprintf(reason, reason_size, "%s: not a plain file of at most 1 MiB", file);
        return -EINVAL;
    }
    if ((status.st_mode & 0022) || (status.st_uid != 0 && status.st_uid != geteuid())) {
        snprintf(reason, reason_size,
                 "%s: others can write it; right is an owner of root or you, and chmod go-w", file);
        return -EACCES;
    }
    *text = malloc((size_t)status.st_size + 1);
    if (!*text) {
        snprintf(reason, reason_size, "%s: memory is short", file);
        return -ENOMEM;
    }
    ssize_t got = read(descriptor, *text, (size_t)status.st_size);
    if (got < 0) {
        int r = -errno;
        snprintf(reason, reason_size, "%s: %s", file, strerror(-r));
        return r;
    }
    *size = (size_t)got;
    return 0;
}

/* A copy begins with this; then come the text, and the note of the names in it where that has been made. */
struct copy_head {
    char magic[16];
    uint64_t text_size;
};

static const char copy_magic[16] = "aapfs config 1";

int config_copy_new(char *reason, size_t reason_size)
{
    int copy = memfd_create("aapfs-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy >= 0 && fchmod(copy, 0600) == 0)
        return copy;
    int r = -errno;
    snprintf(reason, reason_size, "the configuration's copy: %s", strerror(-r));
    if (copy >= 0)
        close(copy);
    return r;
}

int config_copy_fill(int copy, const char *file, char *reason, size_t reason_size)
{
    _cleanup_(free) char *text = NULL;
    const char *name = file ? file : default_file;
    struct copy_head head = {.text_size = 0};
    size_t size = 0;
    int r = load(name, &text, &size, reason, reason_size);
    if (r < 0 && (r != -ENOENT || file))
        return r;
    memcpy(head.magic, copy_magic, sizeof(head.magic));
    head.text_size = size;
    if (pwrite(copy, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
        (size == 0 || pwrite(copy, text, size, sizeof(head)) == (ssize_t)size))
        return 0;
    r = errno ? -errno : -EIO;
    snprintf(reason, reason_size, "%s: its copy: %s", name, strerror(-r));
    return r;
}

int config_copy(const char *file, char *reason, size_t reason_size)
{
    _cleanup_(close) int copy = config_copy_new(reason, reason_size);
    int r = copy < 0 ? copy : config_copy_fill(copy, file, reason, reason_size);
    return r < 0 ? r : steal_descriptor(&copy);
}

int config_copy_seal(int copy)
{
    return fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ? -errno : 0;
}

/* All of COPY, malloc'ed, and its sizes; NULL: it is none. */
static struct copy_head *load_copy(int copy, size_t *note_size)
{
    struct stat status;
    if (fstat(copy, &status) < 0 || status.st_size < (off_t)sizeof(struct copy_head) ||
        status.st_size > 2 * (off_t)CONFIG_FILE_MOST)
        return NULL;
    size_t size = (size_t)status.st_size;
    struct copy_head *head = malloc(size);
    if (head && pread(copy, head, size, 0) == (ssize_t)size &&
        memcmp(head->magic, copy_magic, sizeof(head->magic)) == 0 && head->text_size <= size - sizeof(*head)) {
        *note_size = size - sizeof(*head) - head->text_size;
        return head;
    }
    free(head);
    return NULL;
}

/* What cannot be noted is looked up again. */
static void note_names(int copy, const struct copy_head *head, bool good)
{
    size_t size;
    _cleanup_(free) char *note = config_names_end(&size);
    off_t end = (off_t)(sizeof(*head) + head->text_size);
    if (note && good && pwrite(copy, note, size, end) != (ssize_t)size && ftruncate(copy, end) < 0)
        errno = 0; /* half a note names nobody, and the reading of it says whom */
}

int config_read_copy(const char *file, int copy, struct config *config, char *reason, size_t reason_size)
{
    const char *name = file ? file : default_file;
    size_t note_size;
    config_defaults(config);
    _cleanup_(free) struct copy_head *head = load_copy(copy, &note_size);
    if (!head) {
        snprintf(reason, reason_size, "%s: its copy cannot be read", name);
        return -EIO;
    }
    const char *text = (const char *)(head + 1);
    if (note_size > 0)
        config_names_use(text + head->text_size, note_size);
    else
        config_names_begin();
    int r = config_parse(name, text, head->text_size, config, reason, reason_size);
    note_names(copy, head, r == 0);
    if (r < 0)
        config_clear(config);
    return r;
}

int config_read(const char *file, struct config *config, char *reason, size_t reason_size)
{
    _cleanup_(free) char *text = NULL;
    size_t size = 0;

    config_defaults(config);
    int r = load(file ? file : default_file, &text, &size, reason, reason_size);
    if (r == -ENOENT && !file)
        return 0;
    if (r == 0)
        r = config_parse(file ? file : default_file, text, size, config, reason, reason_size);
    if (r < 0)
        config_clear(config);
    return r;
}
