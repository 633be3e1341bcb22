#include "fs/volumes/volumes_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/reason.h"
#include "fs/config/config.h"
#include "fs/store/store_file.h"
#include "fs/volumes/volumes.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/iso_time.h"

enum { FILE_MOST = 8 << 20, VERSION = 1, BOOT_ID_SIZE = 37 };

bool volumes_name_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length < VOLUMES_NAME_SIZE && !strchr("._-", name[0]) &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") == length;
}

bool volumes_id_is_valid(const char *id)
{
    size_t length = strlen(id);
    for (size_t i = 0; i < length; i++)
        if (id[i] <= ' ' || id[i] > '~')
            return false;
    return length >= 1 && length < VOLUMES_ID_SIZE;
}

int volumes_file_open(const char *path, char *reason, size_t size)
{
    struct stat attributes;
    int r = store_file_make_path(path);
    _cleanup_(close) int directory = r < 0 ? r : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0 || fstat(directory, &attributes) < 0) {
        r = r < 0 ? r : -errno;
        return reason_give(reason, size, r, "%.200s: %s", path, strerror(-r));
    }
    if (attributes.st_uid != geteuid() || (attributes.st_mode & 022))
        return reason_give(reason, size, -EPERM, "%.200s: others can write here; chown it to root and chmod 0700",
                           path);
    if (flock(directory, LOCK_EX | LOCK_NB) < 0)
        return reason_give(reason, size, -errno, "%.200s: %s", path,
                           errno == EWOULDBLOCK ? "another volume plugin uses this state; give --state" : strerror(errno));
    return steal_descriptor(&directory);
}

static void read_boot_id(char boot_id[static BOOT_ID_SIZE])
{
    _cleanup_(fclose) FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    boot_id[0] = '\0';
    if (!file || fscanf(file, "%36s", boot_id) != 1)
        boot_id[0] = '\0'; /* unknown, always: users stay */
}

static const char move_it[] = "move it away to begin without volumes";

const char *volumes_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static bool users_are_valid(const json_t *users)
{
    const json_t *user;
    size_t i;
    if (!json_is_array(users) || json_array_size(users) > VOLUMES_USERS_MOST)
        return false;
    json_array_foreach(users, i, user) {
        const char *id = json_string_value(user);
        if (!id || !volumes_id_is_valid(id))
            return false;
        for (size_t before = 0; before < i; before++)
            if (strcmp(json_string_value(json_array_get(users, before)), id) == 0)
                return false;
    }
    return true;
}

static bool volume_is_valid(const char *name, const json_t *volume)
{
    int64_t unused;
    const char *created = volumes_text(volume, "CreatedAt");
    return volumes_name_is_valid(name) && json_is_object(volume) && json_object_size(volume) == 3 &&
           config_aap_name_is_shown(volumes_text(volume, "Aap")) && iso_time_parse(created, strlen(created), &unused) == 0 &&
           users_are_valid(json_object_get(volume, "Users"));
}

static bool state_is_valid(json_t *state)
{
    const char *name;
    json_t *volume, *volumes = json_object_get(state, "Volumes");
    if (json_object_size(state) != 3 || !json_is_object(volumes) ||
        json_integer_value(json_object_get(state, "Version")) != VERSION ||
        !json_is_string(json_object_get(state, "BootId")))
        return false;
    json_object_foreach(volumes, name, volume)
        if (!volume_is_valid(name, volume))
            return false;
    return true;
}

/* Every container of the boot before is gone, and no runtime says so. */
static int forget_users_of_before(json_t *state, const char *boot_id)
{
    const char *name;
    json_t *volume;
    if (strcmp(volumes_text(state, "BootId"), boot_id) == 0)
        return 0;
    json_object_foreach(json_object_get(state, "Volumes"), name, volume)
        if (json_array_clear(json_object_get(volume, "Users")) < 0)
            return -ENOMEM;
    return json_object_set_new(state, "BootId", json_string(boot_id)) < 0 ? -ENOMEM : 0;
}

/* ERROR: from store_file_read. */
static const char *why_unread(int error)
{
    switch (error) {
    case -ELOOP:
        return "a symbolic link, not a file";
    case -EINVAL:
        return "not a regular file";
    case -EMSGSIZE:
        return "larger than this program ever writes it";
    default:
        return strerror(-error);
    }
}

int volumes_file_load(int directory, const char *path, json_t **state, char *reason, size_t size)
{
    char boot_id[BOOT_ID_SIZE];
    struct store_file file;
    read_boot_id(boot_id);
    int r = store_file_read(directory, VOLUMES_FILE, FILE_MOST, &file);
    if (r == -ENOENT) {
        *state = json_pack("{s:i, s:s, s:{}}", "Version", VERSION, "BootId", boot_id, "Volumes");
        return *state ? 0 : -ENOMEM;
    }
    if (r < 0)
        return reason_give(reason, size, r, "%.200s/" VOLUMES_FILE ": %s; %s", path, why_unread(r), move_it);
    json_error_t error;
    _cleanup_(json) json_t *read = json_loadb((const char *)file.data, file.size, JSON_REJECT_DUPLICATES, &error);
    store_file_clear(&file);
    if (!read || !state_is_valid(read))
        return reason_give(reason, size, -EINVAL, "%.200s/" VOLUMES_FILE ": not written by this program, or damaged "
                                                  "(%.80s); %s", path,
                           read ? "a member or value that it never has" : error.text, move_it);
    r = forget_users_of_before(read, boot_id);
    if (r < 0)
        return reason_give(reason, size, r, "%s", strerror(-r));
    *state = steal_pointer(&read);
    return 0;
}

int volumes_file_save(int directory, const json_t *state)
{
    _cleanup_(free) char *text = json_dumps(state, JSON_INDENT(2));
    if (!text)
        return -ENOMEM;
    size_t size = strlen(text);
    return size > FILE_MOST ? -EFBIG : store_file_write(directory, VOLUMES_FILE, text, size);
}
