#include "fs/commands/control_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <linux/magic.h>

#include "fs/base/log.h"
#include "fs/commands/status/status_read.h"
#include "fs/config/config.h"
#include "kmsapi/cleanup.h"

/* A minute, as the first listing ends with request_timeout at the latest; and a second. */
enum { LISTING_LOOKS = 3000, SHOWING_LOOKS = 50 };

static int open_aap(const char *mountpoint, const char *aap)
{
    _cleanup_(close) int mount = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int directory = -1;
    if (mount >= 0 && (config_aap_name_is_shown(aap) || strcmp(aap, ".aapfs") == 0))
        directory = openat(mount, aap, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    else if (mount >= 0)
        errno = ENOENT;
    return directory < 0 ? -errno : directory;
}

/* Why MOUNTPOINT has not got the directory of AAP: what the mount tells of its listings. */
static void explain_absence(const char *mountpoint, const char *aap)
{
    if (!config_aap_name_is_shown(aap)) {
        log_error("%s/%s: not a name that an AAP has here", mountpoint, aap);
        return;
    }
    _cleanup_(json) json_t *all = status_read(mountpoint, ".aapfs"); /* says itself what it cannot read */
    const json_t *mount = json_object_get(all, "Mount"), *error = json_object_get(mount, "LastError");
    const char *listed = json_string_value(json_object_get(mount, "LastSync"));
    const char *code = json_string_value(json_object_get(error, "Code"));
    const char *message = json_string_value(json_object_get(error, "Message"));
    if (all && listed)
        log_error("%s: there is no such AAP here; KMS was listed at %s; to list it again: echo sync > %s/.aapfs/control", aap,
                  listed, mountpoint);
    else if (all && code && message)
        log_error("%s: KMS was never listed: %s: %s; see aapfs check", aap, code, message);
    else if (all)
        log_error("%s: KMS was not listed yet; try again in a moment, and see aapfs check", aap);
}

static json_t *read_json(int directory, const char *name)
{
    char text[8192];
    _cleanup_(close) int file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : read(file, text, sizeof(text));
    return got > 0 ? json_loadb(text, (size_t)got, 0, NULL) : NULL;
}

/*
 * How many looks the first listing may still take: a mount is ready before KMS has told its AAPs. 0: it has ended, well or
 * not. Whose they are may be told, or denied, while they are being shown.
 */
static int looks_worth(const char *mountpoint)
{
    _cleanup_(close) int directory = open_aap(mountpoint, ".aapfs");
    _cleanup_(json) json_t *status = directory < 0 ? NULL : read_json(directory, "status");
    _cleanup_(json) json_t *last_error = status ? read_json(directory, "last_error") : NULL;
    const char *failed = json_string_value(json_object_get(last_error, "Operation"));
    if (!json_is_null(json_object_get(status, "LastSync")))
        return 0;
    if (!last_error)
        return LISTING_LOOKS;
    return failed && strcmp(failed, "DescribeApplicationAccessPoint") == 0 ? SHOWING_LOOKS : 0;
}

static int await_aap(const char *mountpoint, const char *aap)
{
    static const struct timespec moment = {.tv_nsec = 20000000};
    for (int looks = 0;; looks++) {
        bool last = looks >= looks_worth(mountpoint);
        int directory = open_aap(mountpoint, aap);
        if (directory != -ENOENT || last)
            return directory;
        nanosleep(&moment, NULL);
    }
}

static void explain(int directory, const char *aap, int number)
{
    _cleanup_(json) json_t *last = read_json(directory, "last_error");
    const char *code = json_string_value(json_object_get(last, "Code"));
    const char *message = json_string_value(json_object_get(last, "Message"));
    if (code && message)
        log_error("%s: %s: %s: %s", aap, strerror(number), code, message);
    else
        log_error("%s: %s", aap, strerror(number));
}

static int cannot_open(const char *mountpoint, const char *aap, int r)
{
    if (r == -ENOENT && access(mountpoint, F_OK) == 0)
        explain_absence(mountpoint, aap);
    else
        log_error("%s/%s: %s", mountpoint, aap, strerror(-r));
    return r;
}

int control_file_find(const char *mountpoint, const char *aap)
{
    _cleanup_(close) int directory = await_aap(mountpoint, aap);
    return directory < 0 ? cannot_open(mountpoint, aap, directory) : 0;
}

int control_file_write(const char *mountpoint, const char *aap, const char *text, size_t size)
{
    struct statfs status;
    _cleanup_(close) int directory = await_aap(mountpoint, aap);
    if (directory < 0)
        return cannot_open(mountpoint, aap, directory);
    _cleanup_(close) int file = openat(directory, "control", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 || fstatfs(file, &status) < 0)
        return log_failure(-errno, "%s/%s/control: %s%s", mountpoint, aap, strerror(errno),
                           errno == EROFS ? "; mount.aapfs(8) says at \"ro\" what such a mount can be told" : "");
    if (status.f_type != FUSE_SUPER_MAGIC)
        return log_failure(-ENODEV, "%s/%s/control: no aapfs is mounted there; nothing was written", mountpoint, aap);
    ssize_t written;
    do
        written = write(file, text, size);
    while (written < 0 && errno == EINTR); /* stopped and continued, for one: the same again joins what goes on */
    if (written == (ssize_t)size)
        return 0;
    int r = -errno;
    explain(directory, aap, -r);
    return r;
}

int control_file_print_id(const char *mountpoint, const char *aap)
{
    char id[256];
    _cleanup_(close) int directory = open_aap(mountpoint, aap);
    _cleanup_(close) int file =
        directory < 0 ? -1 : openat(directory, "client_key_id", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : read(file, id, sizeof(id));
    if (got < 0)
        return log_failure(-errno, "%s/%s/client_key_id: %s", mountpoint, aap, strerror(errno));
    fwrite(id, 1, (size_t)got, stdout);
    return fflush(stdout) == 0 ? 0 : -errno;
}
