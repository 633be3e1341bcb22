#include "fs/commands/check/check.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/mount/mount_point.h"
#include "fs/mount/mount_table.h"
#include "kmsapi/cleanup.h"

enum { LINES_MOST = 100 };

static const char subject[] = "mount point";

/* -- the mount point ----------------------------------------------------------------------- */

static void look_at_aapfs(struct check *check, const char *path)
{
    switch (mount_table_ask(path)) {
    case MOUNT_ALIVE:
        check_ok(check, subject, "%s: aapfs is mounted there and answers", path);
        break;
    case MOUNT_DEAD:
        check_error(check, subject, "%s: a mount of aapfs is there that has lost its daemon; start aapfs again, which "
                    "detaches it", path);
        break;
    case MOUNT_SILENT:
        check_error(check, subject, "%s: aapfs is mounted there and did not answer within a second; see its log, whether "
                    "its processes run, and the load of the machine", path);
        break;
    }
}

static void look_at_mount_point(struct check *check)
{
    char path[MOUNT_POINT_PATH_SIZE];
    int r = mount_point_resolve(check->mountpoint, path);
    if (r == -ENOENT) {
        check_warning(check, subject, "%s: it is not there; make an empty directory", check->mountpoint);
        return;
    }
    if (r < 0) {
        check_error(check, subject, "%s: %s; a mount point is an empty directory", check->mountpoint, strerror(-r));
        return;
    }
    struct mounted mounted = mount_table_at(path);
    if (mounted.is_aapfs)
        look_at_aapfs(check, path);
    else if (mounted.device)
        check_warning(check, subject, "%s: another filesystem is mounted there, which aapfs would hide; give aapfs a "
                      "directory of its own", path);
    else
        check_ok(check, subject, "%s: nothing is mounted there", path);
}

/* -- binds, in every mount namespace ------------------------------------------------------- */

struct search {
    struct check *check;
    const char *pid;
    size_t found, namespace_count;
    ino_t *namespaces; /* those looked at */
    size_t unreadable; /* processes whose mounts we may not see */
};

/* ROOT is /AAP/keys/CLIENT_KEY_ID, or below. */
static bool is_of_one_key(const char *root)
{
    const char *keys = root[0] == '/' ? strchr(root + 1, '/') : NULL;
    return keys && strncmp(keys, "/keys/", strlen("/keys/")) == 0 && keys[strlen("/keys/")] != '\0';
}

static void found(void *user, const char *root, const char *path)
{
    struct search *search = user;
    if (!is_of_one_key(root) || search->found++ >= LINES_MOST)
        return;
    size_t name = strcspn(root + 1, "/");
    check_warning(search->check, "binds", "%s, as the process %s sees it, shows %s and stays with that key for ever; bind "
                  "the AAP's directory instead: /%.*s of the mount", path, search->pid, root, (int)name, root + 1);
}

/* True the first time. */
static bool is_new(struct search *search, ino_t number)
{
    for (size_t i = 0; i < search->namespace_count; i++)
        if (search->namespaces[i] == number)
            return false;
    ino_t *grown = reallocarray(search->namespaces, search->namespace_count + 1, sizeof(*grown));
    if (grown) {
        search->namespaces = grown;
        search->namespaces[search->namespace_count++] = number;
    }
    return true;
}

/* A process that ends meanwhile has no mounts any more. */
static void look_at_process(struct search *search, const char *pid)
{
    char path[64];
    struct stat namespace;
    snprintf(path, sizeof(path), "/proc/%.20s/ns/mnt", pid);
    if (stat(path, &namespace) < 0) {
        search->unreadable += errno == EACCES || errno == EPERM;
        return;
    }
    if (!is_new(search, namespace.st_ino))
        return;
    search->pid = pid;
    snprintf(path, sizeof(path), "/proc/%.20s/mountinfo", pid);
    int r = mount_table_walk(path, found, search);
    if (r < 0) /* another process of this namespace may do */
        search->namespace_count--;
    search->unreadable += r == -EACCES || r == -EPERM;
}

static void look_for_binds(struct check *check)
{
    struct search search = {.check = check};
    const struct dirent *entry;
    _cleanup_(closedir) DIR *processes = opendir("/proc");
    while (processes && (entry = readdir(processes)))
        if (isdigit((unsigned char)entry->d_name[0]))
            look_at_process(&search, entry->d_name);
    free(search.namespaces);
    if (search.found > LINES_MOST)
        check_warning(check, "binds", "%zu more of that kind", search.found - LINES_MOST);
    if (!processes)
        check_warning(check, "binds", "/proc: %s; binds of current or keys/ID cannot be looked for", strerror(errno));
    else if (search.found == 0 && search.unreadable)
        check_ok(check, "binds", "none of current or keys/ID in %zu mount namespaces; those of %zu processes may be seen "
                 "by root or nobody", search.namespace_count, search.unreadable);
    else if (search.found == 0)
        check_ok(check, "binds", "none of current or keys/ID in %zu mount namespaces", search.namespace_count);
}

void check_mount(struct check *check)
{
    look_at_mount_point(check);
    look_for_binds(check);
}
