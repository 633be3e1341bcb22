#include "fs/commands/check/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/store/state.h"
#include "fs/store/state_key.h"
#include "kmsapi/cleanup.h"

enum { ROOM_NEEDED_KB = 64, ROOM_GOOD_KB = 16 * 1024, REASON_SIZE = 2 * STATE_PATH_SIZE + 256 };

static const char subject[] = "state", key_subject[] = "state key";

/* The nearest directory above PATH that is there, in place. */
static void find_above(char *path)
{
    while (path[0] && access(path, F_OK) < 0) {
        char *slash = strrchr(path, '/');
        slash = slash && slash > path ? slash : path + 1;
        if (!*slash)
            return;
        *slash = '\0';
    }
}

static void look_at_missing(struct check *check, const char *path)
{
    char above[STATE_PATH_SIZE];
    snprintf(above, sizeof(above), "%s", path);
    find_above(above);
    if (access(above, W_OK | X_OK) < 0)
        check_error(check, subject, "%s: it is not there and cannot be made: %s: %s; make it, 0700 and this user's", path,
                    above, strerror(errno));
    else
        check_ok(check, subject, "%s: not there yet; the first start makes it", path);
}

static bool look_at_owner(struct check *check, const char *path, const struct stat *attributes)
{
    if (attributes->st_uid != geteuid())
        check_error(check, subject, "%s: it belongs to the user %u; chown it to the one that runs aapfs, who is %u here",
                    path, attributes->st_uid, geteuid());
    else if (attributes->st_mode & 077)
        check_error(check, subject, "%s: others may look into it, its mode is %04o; chmod 0700", path,
                    attributes->st_mode & 07777);
    else
        return true;
    return false;
}

static void look_at_room(struct check *check, const struct state *state)
{
    struct statvfs room;
    if (fstatvfs(state->directory, &room) < 0) {
        check_error(check, subject, "%s: %s", state->path, strerror(errno));
        return;
    }
    unsigned long long free_kb = (unsigned long long)room.f_bavail * room.f_frsize / 1024;
    bool no_files = room.f_files > 0 && room.f_favail == 0;
    if (room.f_flag & ST_RDONLY)
        check_error(check, subject, "%s: the disk is read-only: no key can be kept, and none is made; remount it",
                    state->path);
    else if (free_kb < ROOM_NEEDED_KB || no_files)
        check_error(check, subject, "%s: the disk is full: no key can be kept, and none is made; make room", state->path);
    else if (free_kb < ROOM_GOOD_KB)
        check_warning(check, subject, "%s: only %llu KiB are free, a key takes up to 64; make room", state->path, free_kb);
    else
        check_ok(check, subject, "%s: %llu MiB are free", state->path, free_kb / 1024);
}

/* Who has locked it, from the kernel's list: a lock of our own, even for a moment, could turn a start away. 0: nobody. */
static int find_user(const struct state *state)
{
    struct stat lock;
    char line[256];
    _cleanup_(fclose) FILE *locks = fopen("/proc/locks", "re");
    if (!locks || fstatat(state->directory, ".lock", &lock, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    while (fgets(line, sizeof(line), locks)) {
        int pid;
        unsigned int major_number, minor_number;
        unsigned long long number;
        if (sscanf(line, "%*d: FLOCK %*s WRITE %d %x:%x:%llu", &pid, &major_number, &minor_number, &number) == 4 &&
            number == lock.st_ino && makedev(major_number, minor_number) == lock.st_dev)
            return pid;
    }
    return 0;
}

static void look_at_account(struct check *check, const struct state *state)
{
    char reason[REASON_SIZE];
    int user = find_user(state);
    if (state_find_account(state, check->config->region, check->account, reason, sizeof(reason)) < 0)
        check_error(check, subject, "%s", reason);
    else if (check->account[0])
        check_ok(check, subject, "%s: keys of the account %s in %s", state->path, check->account, check->config->region);
    else
        check_ok(check, subject, "%s: no keys yet", state->path);
    if (user)
        check_ok(check, subject, "%s: in use by aapfs, process %d", state->path, user);
}

/* STATE's directory is -1: there is none yet. */
static void look_at_key(struct check *check, const struct state_places *places, struct state *state)
{
    char reason[REASON_SIZE];
    struct stat attributes;
    int file = state_key_open(places->key, reason, sizeof(reason));
    if (file == -ENOENT && places->may_make_key && !check->account[0]) {
        check_ok(check, key_subject, "%s: not there yet; the first start makes it", places->key);
        return;
    }
    if (file == -ENOENT && !check->account[0])
        check_error(check, key_subject, "%s: there is none; make one: (umask 077; openssl rand -hex 32 > %s)", places->key,
                    places->key);
    else if (file == -ENOENT)
        check_error(check, key_subject, "%s: it is missing, and keys in %s were sealed with it; put it back, or move %s "
                    "away", places->key, state->path, state->path);
    else if (file < 0)
        check_error(check, key_subject, "%s", reason);
    if (file < 0)
        return;
    state->key = file;
    unsigned char key[SEAL_KEY_SIZE];
    int r = state->directory >= 0 ? state_check(state, check->config->region, reason, sizeof(reason)) : 0;
    if (state->directory < 0 && (r = state_key_read(file, key)) < 0)
        snprintf(reason, sizeof(reason), "its file does not hold 64 hexadecimal digits and nothing else; right is what "
                                         "openssl rand -hex 32 prints");
    explicit_bzero(key, sizeof(key));
    if (r < 0)
        check_error(check, key_subject, "%s: %s", places->key, reason);
    else if (fstat(file, &attributes) == 0)
        check_ok(check, key_subject, "%s: mode %04o%s", places->key, attributes.st_mode & 07777,
                 check->account[0] ? ", the one that the keys are sealed with" : "");
}

void check_state(struct check *check)
{
    char reason[256];
    struct state_places places;
    struct stat attributes;
    struct state state = {.directory = -1, .lock = -1, .key = -1};
    if (state_places_find(check->config->state, check->config->state_key, &places, reason, sizeof(reason)) < 0) {
        check_error(check, subject, "%s", reason);
        return;
    }
    memcpy(state.path, places.directory, sizeof(state.path));
    state.directory = open(state.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state.directory < 0 && errno == ENOENT) {
        look_at_missing(check, state.path);
    } else if (state.directory < 0 || fstat(state.directory, &attributes) < 0) {
        check_error(check, subject, "%s: %s; it must be a directory of the user that runs aapfs", state.path,
                    strerror(errno));
    } else if (look_at_owner(check, state.path, &attributes)) {
        look_at_room(check, &state);
        look_at_account(check, &state);
    }
    look_at_key(check, &places, &state);
    state_close(&state);
}
