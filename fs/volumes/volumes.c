#include "fs/volumes/volumes.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/reason.h"
#include "fs/config/config.h"
#include "fs/volumes/bind.h"
#include "fs/volumes/volumes_file.h"
#include "kmsapi/iso_time.h"

static json_t *find(const json_t *state, const char *name)
{
    return json_object_get(json_object_get(state, "Volumes"), name);
}

static size_t users_of(const json_t *volume)
{
    return json_array_size(json_object_get(volume, "Users"));
}

static void target_of(const struct volumes *volumes, const char *name, char path[static PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", volumes->binds, name);
}

/* CHANGED (taken over) holds once it is saved. */
static int take(struct volumes *volumes, json_t *changed, char *reason, size_t size)
{
    int r = changed ? volumes_file_save(volumes->directory, changed) : -ENOMEM;
    if (r < 0) {
        json_decref(changed);
        return reason_give(reason, size, r, "%.200s/" VOLUMES_FILE " of the volume plugin cannot be written: %s",
                           volumes->path, strerror(-r));
    }
    json_decref(volumes->state);
    volumes->state = changed;
    return 0;
}

static int no_such(const char *name, char *reason, size_t size)
{
    bool valid = volumes_name_is_valid(name);
    return reason_give(reason, size, -ENOENT, "%s%sno such volume", valid ? name : "", valid ? ": " : "");
}

/* The bind of a volume without users; it is no error to the last one, who went, when it stays. */
static void undo_bind(const struct volumes *volumes, const char *name)
{
    char path[PATH_MAX], reason[BIND_REASON_SIZE];
    target_of(volumes, name, path);
    if (users_of(find(volumes->state, name)) == 0 && bind_undo(path, reason) < 0)
        log_error("volume-plugin: %s: %s", name, reason);
}

int volumes_open(struct volumes *volumes, const char *state, char *reason, size_t size)
{
    const char *name;
    json_t *volume;
    char path[PATH_MAX];
    volumes->state = NULL;
    volumes->path = state;
    volumes->directory = volumes_file_open(state, reason, size);
    if (volumes->directory < 0)
        return volumes->directory;
    int r = volumes_file_load(volumes->directory, state, &volumes->state, reason, size);
    if (r == 0)
        json_object_foreach(json_object_get(volumes->state, "Volumes"), name, volume) {
            target_of(volumes, name, path);
            if (users_of(volume) == 0 && access(path, F_OK) == 0)
                undo_bind(volumes, name);
        }
    return r;
}

void volumes_close(struct volumes *volumes)
{
    json_decref(volumes->state);
    volumes->state = NULL;
    cleanup_close(&volumes->directory);
}

static int create(struct volumes *volumes, const char *name, const char *aap, char *reason, size_t size)
{
    char created[ISO_TIME_SIZE], found[BIND_REASON_SIZE];
    int r = bind_find_aap(volumes->mountpoint, aap, found);
    if (r < 0)
        return reason_give(reason, size, r, "%s%s", found, r == -ENOENT ? "; name one with -o aap=NAME" : "");
    iso_time_format(time(NULL), created);
    json_t *changed = json_deep_copy(volumes->state);
    if (json_object_set_new(json_object_get(changed, "Volumes"), name,
                            json_pack("{s:s, s:s, s:[]}", "Aap", aap, "CreatedAt", created, "Users")) < 0) {
        json_decref(changed);
        changed = NULL;
    }
    return take(volumes, changed, reason, size);
}

int volumes_create(struct volumes *volumes, const char *name, const char *aap, char *reason, size_t size)
{
    const json_t *volume = find(volumes->state, name);
    if (!volumes_name_is_valid(name))
        return reason_give(reason, size, -EINVAL, "a volume's name is 1 to %d of A-Z a-z 0-9 _ - . and begins with a "
                                                  "letter or digit", VOLUMES_NAME_SIZE - 1);
    if (!aap)
        aap = volume ? json_string_value(json_object_get(volume, "Aap")) : name;
    if (!config_aap_name_is_shown(aap))
        return reason_give(reason, size, -EINVAL, "-o aap=…: not an AAP's name; right are 1 to 200 of A-Z a-z 0-9 _ - "
                                                  ". without a dot in front");
    if (!volume)
        return create(volumes, name, aap, reason, size);
    const char *now = json_string_value(json_object_get(volume, "Aap"));
    if (strcmp(now, aap) == 0)
        return 0;
    return reason_give(reason, size, -EEXIST, "%s: there is a volume of this name, of the AAP %s; remove it first", name,
                       now);
}

int volumes_remove(struct volumes *volumes, const char *name, char *reason, size_t size)
{
    char path[PATH_MAX], undone[BIND_REASON_SIZE];
    const json_t *volume = find(volumes->state, name);
    if (!volume)
        return no_such(name, reason, size);
    if (users_of(volume) > 0)
        return reason_give(reason, size, -EBUSY, "%s: volume is in use", name);
    /* no user: a bind is there only when undoing it failed */
    target_of(volumes, name, path);
    int r = bind_undo(path, undone);
    if (r < 0)
        return reason_give(reason, size, r, "%s: %s", name, undone);
    json_t *changed = json_deep_copy(volumes->state);
    json_object_del(json_object_get(changed, "Volumes"), name);
    return take(volumes, changed, reason, size);
}

/* Where ID stands among VOLUME's users; their number: nowhere. */
static size_t find_user(const json_t *volume, const char *id)
{
    const json_t *user;
    size_t i;
    json_array_foreach(json_object_get(volume, "Users"), i, user)
        if (strcmp(json_string_value(user), id) == 0)
            return i;
    return users_of(volume);
}

/* The volume NAME, for a use by ID. */
static int find_for(const struct volumes *volumes, const char *name, const char *id, const json_t **volume,
                    char *reason, size_t size)
{
    *volume = find(volumes->state, name);
    if (!*volume)
        return no_such(name, reason, size);
    if (volumes_id_is_valid(id))
        return 0;
    return reason_give(reason, size, -EINVAL, "ID: 1 to %d printing characters are right", VOLUMES_ID_SIZE - 1);
}

static int add_user(struct volumes *volumes, const char *name, const char *id, char *reason, size_t size)
{
    json_t *changed = json_deep_copy(volumes->state);
    if (json_array_append_new(json_object_get(find(changed, name), "Users"), json_string(id)) < 0) {
        json_decref(changed);
        changed = NULL;
    }
    return take(volumes, changed, reason, size);
}

int volumes_mount(struct volumes *volumes, const char *name, const char *id, char *reason, size_t size)
{
    char path[PATH_MAX], bound[BIND_REASON_SIZE];
    const json_t *volume;
    int r = find_for(volumes, name, id, &volume, reason, size);
    if (r < 0)
        return r;
    if (users_of(volume) >= VOLUMES_USERS_MOST)
        return reason_give(reason, size, -EDQUOT, "%s: more than %d uses", name, VOLUMES_USERS_MOST);
    target_of(volumes, name, path);
    r = bind_make(volumes->mountpoint, json_string_value(json_object_get(volume, "Aap")), path, bound);
    if (r < 0)
        return reason_give(reason, size, r, "%s: %s%s", name, bound, r == -ENOENT ? "; KMS may no longer have it" : "");
    if (find_user(volume, id) < users_of(volume))
        return 0; /* it asks again: its answer was lost, or it knows of a new mount */
    r = add_user(volumes, name, id, reason, size);
    if (r < 0)
        undo_bind(volumes, name);
    return r;
}

int volumes_unmount(struct volumes *volumes, const char *name, const char *id, char *reason, size_t size)
{
    const json_t *volume;
    int r = find_for(volumes, name, id, &volume, reason, size);
    if (r < 0)
        return r;
    size_t user = find_user(volume, id);
    if (user == users_of(volume)) {
        undo_bind(volumes, name);
        return 0; /* of a use before a reboot, or unmounted twice */
    }
    json_t *changed = json_deep_copy(volumes->state);
    json_array_remove(json_object_get(find(changed, name), "Users"), user);
    r = take(volumes, changed, reason, size);
    if (r == 0)
        undo_bind(volumes, name);
    return r;
}

static json_t *tell(const struct volumes *volumes, const char *name, const json_t *volume)
{
    char path[PATH_MAX] = "";
    if (users_of(volume) > 0)
        target_of(volumes, name, path);
    return json_pack("{s:s, s:s, s:s, s:{s:s, s:I}}", "Name", name, "Mountpoint", path, "CreatedAt",
                     json_string_value(json_object_get(volume, "CreatedAt")), "Status", "Aap",
                     json_string_value(json_object_get(volume, "Aap")), "Users", (json_int_t)users_of(volume));
}

json_t *volumes_tell(const struct volumes *volumes, const char *name, char *reason, size_t size)
{
    const json_t *volume = find(volumes->state, name);
    if (!volume) {
        no_such(name, reason, size);
        return NULL;
    }
    json_t *told = tell(volumes, name, volume);
    if (!told)
        snprintf(reason, size, "%s", strerror(ENOMEM));
    return told;
}

json_t *volumes_tell_all(const struct volumes *volumes)
{
    const char *name;
    json_t *volume;
    _cleanup_(json) json_t *all = json_array();
    json_object_foreach(json_object_get(volumes->state, "Volumes"), name, volume)
        if (json_array_append_new(all, tell(volumes, name, volume)) < 0)
            return NULL;
    return steal_pointer(&all);
}
