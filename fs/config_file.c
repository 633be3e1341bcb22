/*
 * Where the configuration comes from: the file, or a copy of its text.
 */
#include "fs/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config_parse.h"
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

int config_copy(const char *file, char *reason, size_t reason_size)
{
    _cleanup_(free) char *text = NULL;
    size_t size = 0;
    const char *name = file ? file : default_file;
    int r = load(name, &text, &size, reason, reason_size);
    if (r < 0 && (r != -ENOENT || file))
        return r;
    _cleanup_(close) int copy = memfd_create("aapfs-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0 || fchmod(copy, 0600) < 0 || (size > 0 && write(copy, text, size) != (ssize_t)size) ||
        fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        r = errno ? -errno : -EIO;
        snprintf(reason, reason_size, "%s: its copy: %s", name, strerror(-r));
        return r;
    }
    return steal_descriptor(&copy);
}

int config_read_copy(const char *file, int copy, struct config *config, char *reason, size_t reason_size)
{
    const char *name = file ? file : default_file;
    struct stat status;
    config_defaults(config);
    _cleanup_(free) char *text =
        fstat(copy, &status) < 0 || status.st_size > CONFIG_FILE_MOST ? NULL : malloc((size_t)status.st_size + 1);
    if (!text || pread(copy, text, (size_t)status.st_size, 0) != status.st_size) {
        snprintf(reason, reason_size, "%s: its copy cannot be read", name);
        return -EIO;
    }
    int r = config_parse(name, text, (size_t)status.st_size, config, reason, reason_size);
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
