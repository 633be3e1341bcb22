#include "fs/tree/content.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fs/engine/control.h"
#include "fs/tree/names.h"

/* KEY_FILE_COUNT for a node that shows none of a key's files. */
static enum key_file file_of(struct node node)
{
    return node.kind == NODE_KIND_PUBLISHED  ? published_name_file((enum published_name)node.file)
           : node.kind == NODE_KIND_KEY_FILE ? (enum key_file)node.file
                                             : KEY_FILE_COUNT;
}

/* The key whose bytes a published or key file node shows; NULL when it is gone. */
static const struct registry_key *key_of(struct registry *registry, struct node node)
{
    struct shown shown;
    if (node.kind == NODE_KIND_KEY_FILE)
        return registry_key(registry, node.number);
    return shown_now(registry, node, &shown) ? shown.key : NULL;
}

static int link_target(struct registry *registry, struct node node, const void **data, size_t *size)
{
    /* "keys/" and the id; a buffer per thread, since only the session asks */
    static _Thread_local char target[CLIENT_KEY_ID_SIZE + 8];
    const struct registry_key *key = key_of(registry, node);
    if (!key)
        return -ESTALE;
    *size = (size_t)snprintf(target, sizeof(target), "keys/%s", key->client_key_id);
    *data = target;
    return 0;
}

static int key_bytes(struct registry *registry, struct node node, const void **data, size_t *size)
{
    if (node.kind == NODE_KIND_PUBLISHED && node.file == PUBLISHED_CURRENT)
        return link_target(registry, node, data, size);
    const struct registry_key *key = key_of(registry, node);
    enum key_file file = file_of(node);
    if (!key || !key->files[file].data)
        return -ESTALE;
    *data = key->files[file].data;
    *size = key->files[file].size;
    return 0;
}

/* Whether FILE has the private half, or the password. */
static bool is_private(enum key_file file)
{
    return file == KEY_FILE_CLIENT_KEY_JSON || file == KEY_FILE_CLIENT_KEY_P12 ||
           file == KEY_FILE_PRIVATE_KEY_DATA || file == KEY_FILE_PRIVATE_KEY_PEM ||
           file == KEY_FILE_PASSWORD;
}

bool content_audited(struct registry *registry, struct node node, struct audit_open *opened)
{
    enum key_file file = file_of(node);
    const struct registry_key *key = is_private(file) ? key_of(registry, node) : NULL;
    const struct numbered_key *numbered = key ? numbers_key(registry_numbers(registry), key->number) : NULL;
    const struct registry_aap *aap = numbered ? registry_aap(registry, numbered->aap) : NULL;
    if (!aap)
        return false;
    enum published_name name = PUBLISHED_CURRENT;
    while (published_name_file(name) != file)
        name++;
    bool own = node.kind == NODE_KIND_KEY_FILE;
    snprintf(opened->file, sizeof(opened->file), "%s/%s%s%s%s", aap->name, own ? "keys/" : "",
             own ? key->client_key_id : "", own ? "/" : "", published_name_text(name));
    memcpy(opened->client_key_id, key->client_key_id, sizeof(opened->client_key_id));
    return true;
}

int content_bytes(struct registry *registry, struct reports *reports, struct node node,
                  const struct moment *moment, const void **data, size_t *size)
{
    switch (node.kind) {
    case NODE_KIND_PUBLISHED:
        if (node.file == PUBLISHED_CURRENT) /* nobody asks for a link's attributes before it is read */
            shown_move(registry, node, moment);
        __attribute__((fallthrough));
    case NODE_KIND_KEY_FILE:
        return key_bytes(registry, node, data, size);
    case NODE_KIND_REPORT:
        return reports_read(reports, node, data, size, NULL);
    case NODE_KIND_AAP_CONTROL:
    case NODE_KIND_MOUNT_CONTROL:
        return -EACCES; /* to root too, and by then the modes have let it pass */
    default:
        return -EISDIR;
    }
}

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void set_times(struct stat *attributes, int64_t ns)
{
    attributes->st_mtim = attributes->st_ctim = attributes->st_atim = to_timespec(ns);
}

static void file_mode(const struct registry_aap *aap, enum key_file file, struct stat *attributes)
{
    attributes->st_mode = S_IFREG | 0444;
    if (is_private(file)) {
        attributes->st_mode = S_IFREG | aap->config->mode;
        attributes->st_uid = aap->config->owner;
        attributes->st_gid = aap->config->group;
    }
}

static int published_attributes(struct registry *registry, struct node node,
                                const struct moment *moment, struct stat *attributes)
{
    shown_move(registry, node, moment);
    const struct numbered_generation *generation =
        numbers_generation(registry_numbers(registry), node.number);
    const struct registry_aap *aap = generation ? registry_aap(registry, generation->aap) : NULL;
    const struct numbered_aap *numbered =
        aap ? numbers_aap(registry_numbers(registry), generation->aap) : NULL;
    struct shown shown;
    const void *data;
    size_t size;
    if (!numbered || !shown_now(registry, node, &shown) || key_bytes(registry, node, &data, &size) < 0)
        return -ESTALE;
    if (node.file == PUBLISHED_CURRENT)
        attributes->st_mode = S_IFLNK | 0777;
    else
        file_mode(aap, published_name_file((enum published_name)node.file), attributes);
    attributes->st_size = (off_t)size;
    /* what no name shows any more has no link: as after a rename(2) over it */
    uint32_t published = numbered->published[node.file];
    attributes->st_nlink = published ? published <= node.number : numbered->settled_generation <= node.number;
    set_times(attributes, shown.made_ns);
    return 0;
}

static int key_file_attributes(struct registry *registry, struct node node, struct stat *attributes)
{
    const struct numbered_key *numbered = numbers_key(registry_numbers(registry), node.number);
    const struct registry_aap *aap = numbered ? registry_aap(registry, numbered->aap) : NULL;
    const struct registry_key *key = registry_key(registry, node.number);
    if (!aap || !key || !key->files[node.file].data)
        return -ESTALE;
    file_mode(aap, (enum key_file)node.file, attributes);
    attributes->st_size = (off_t)key->files[node.file].size;
    set_times(attributes, key->made_ns);
    return 0;
}

/* Root's alone, or a group's too; nobody's where the configuration says so. */
static int control_attributes(struct registry *registry, struct node node, struct stat *attributes)
{
    const struct registry_aap *aap = registry_aap(registry, node.number);
    if (node.kind == NODE_KIND_AAP_CONTROL && !aap)
        return -ESTALE;
    attributes->st_mode = S_IFREG | 0200;
    if (aap && aap->config->control_group != (gid_t)-1) {
        attributes->st_mode = S_IFREG | 0220;
        attributes->st_gid = aap->config->control_group;
    }
    if (registry_mount(registry)->control_is_off)
        attributes->st_mode = S_IFREG;
    /* constant: a size that moves deadlocks the kernel's page and directory locks */
    attributes->st_size = CONTROL_SIZE;
    return 0;
}

static int directory_attributes(struct registry *registry, struct node node, struct stat *attributes)
{
    attributes->st_mode = S_IFDIR | 0755;
    attributes->st_nlink = 2;
    if (node.kind == NODE_KIND_AAP || node.kind == NODE_KIND_KEYS) {
        const struct numbered_aap *aap = numbers_aap(registry_numbers(registry), node.number);
        if (!aap || !registry_aap(registry, node.number))
            return -ESTALE;
        if (aap->changed_ns)
            set_times(attributes, aap->changed_ns);
    } else if (node.kind == NODE_KIND_KEY) {
        const struct registry_key *key = registry_key(registry, node.number);
        if (!key)
            return -ESTALE;
        set_times(attributes, key->made_ns);
    }
    return 0;
}

int content_attributes(struct registry *registry, struct reports *reports, const struct content_owner *owner,
                       struct node node, const struct moment *moment, struct stat *attributes)
{
    *attributes = (struct stat){
        .st_ino = node_inode_number(node),
        .st_uid = owner->uid,
        .st_gid = owner->gid,
        .st_nlink = 1,
        .st_blksize = 4096,
    };
    set_times(attributes, owner->mounted_ns);

    const void *data;
    size_t size = 0;
    int64_t made_ns = 0;
    int r = 0;
    switch (node.kind) {
    case NODE_KIND_PUBLISHED:
        r = published_attributes(registry, node, moment, attributes);
        break;
    case NODE_KIND_KEY_FILE:
        r = key_file_attributes(registry, node, attributes);
        break;
    case NODE_KIND_REPORT:
        r = reports_read(reports, node, &data, &size, &made_ns);
        attributes->st_mode = S_IFREG | (node.file == REPORT_LAST_ERROR ? 0440
                                         : node.file == REPORT_AUDIT    ? 0400
                                                                        : 0444);
        attributes->st_size = (off_t)size;
        set_times(attributes, made_ns);
        break;
    case NODE_KIND_AAP_CONTROL:
    case NODE_KIND_MOUNT_CONTROL:
        r = control_attributes(registry, node, attributes);
        break;
    default:
        r = directory_attributes(registry, node, attributes);
        break;
    }
    attributes->st_blocks = (attributes->st_size + 511) / 512;
    return r;
}
