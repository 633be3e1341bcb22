#include "fs/worker/session_reads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include <linux/fuse.h>

#include "fs/base/stops.h"
#include "fs/engine/kms_clock.h"
#include "fs/tree/lifetime.h"
#include "fs/worker/caller.h"
#include "fs/worker/fuse_device.h"

/* Linux 5.16, where it tells of itself: with an older one the publisher cannot loosen a name (publisher.h). */
enum { PROTOCOL_LOOSENS = 35 };

static struct tree_time time_of(const struct session *session)
{
    int64_t now_ns = clock_local_ns();
    int64_t offset_ms = registry_mount(session->parts.registry)->clock_offset_ms;
    return (struct tree_time){now_ns, (now_ns / 1000000 + offset_ms) / 1000};
}

/* What the publisher looks at for a file's watchers is left to those who read it, as long as they may. */
static struct moment moment_of(const struct session *session, struct node node, bool reading)
{
    reading = reading || (node.kind == NODE_KIND_PUBLISHED && hidden_has_name(session->parts.publications, node));
    int64_t settle_ms = session->parts.settle_ms;
    bool long_lived = session->agreement.protocol_minor >= PROTOCOL_LOOSENS && settle_ms < LIFETIME_AT_REST_MS;
    return (struct moment){clock_monotonic_ms(), settle_ms, reading, long_lived ? LIFETIME_AT_REST_MS : settle_ms};
}

/* In seconds: of the attributes that NODE has at MOMENT. Of owners and modes the kernel may not have been told yet. */
static double attributes_timeout(const struct session *session, struct node node, const struct moment *moment)
{
    const struct mount_head *head = session->parts.memory->head;
    struct moment until = *moment;
    if (node.kind == NODE_KIND_PUBLISHED && hidden_has_name(session->parts.publications, node))
        return 0;
    if (head->config != head->config_told)
        until.rest_ms = until.settle_ms;
    return (double)lifetime_of_attributes_ms(session->parts.registry, node, &until) / 1000.0;
}

/* As fs/tree/content.h says. Registry's lock held. */
static int attributes_of(struct session *session, struct node node, const struct moment *moment,
                         struct stat *attributes)
{
    int r = content_attributes(session->parts.registry, session->tree.reports,
                               &session->parts.owner, node, moment, attributes);
    if (attributes->st_nlink == 0 && hidden_has_name(session->parts.publications, node)) {
        attributes->st_nlink = 1;
        /* in a user's own mount the publisher may not write otherwise */
        if (session->parts.owner.uid != 0 && attributes->st_uid == session->parts.owner.uid)
            attributes->st_mode |= S_IWUSR;
    }
    return r;
}

/* Another mount's handles are stale; so is a directory that went and came again: the kernel has buried the first. */
static uint64_t generation_of(struct session *session, struct node node)
{
    struct numbers *numbers = registry_numbers(session->parts.registry);
    const struct numbered_aap *aap = node.kind == NODE_KIND_AAP ? numbers_aap(numbers, node.number) : NULL;
    const struct numbered_key *key = node.kind == NODE_KIND_KEY ? numbers_key(numbers, node.number) : NULL;
    return session->parts.memory->head->generation + (aap ? aap->removals : key ? key->removals : 0);
}

/* The entry of NODE as the kernel wants it. 0 or negative errno. Registry's lock held. */
static int fill_entry(struct session *session, struct node node, struct fuse_entry_param *entry)
{
    const struct moment moment = moment_of(session, node, false);
    *entry = (struct fuse_entry_param){.ino = node_id_of(node), .generation = generation_of(session, node)};
    int r = attributes_of(session, node, &moment, &entry->attr);
    entry->attr_timeout = attributes_timeout(session, node, &moment);
    entry->entry_timeout = (double)lifetime_of_name_ms(session->parts.registry, node, &moment) / 1000.0;
    return r;
}

static int look_up(struct session *session, fuse_ino_t parent_id, const char *name, struct fuse_entry_param *entry)
{
    struct node parent, node;
    if (!node_from_id(parent_id, &parent))
        return -ESTALE;
    if (name[0] == '.' && hidden_lookup(session->parts.publications, parent, name, &node)) {
        int r = fill_entry(session, node, entry);
        entry->entry_timeout = 0; /* the name is good for one call */
        return r;
    }
    int r = tree_lookup(&session->tree, parent, name, time_of(session), &node);
    return r < 0 ? r : fill_entry(session, node, entry);
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct session *session = session_of(request);
    struct fuse_entry_param entry;

    stop_here("session-lookup");
    registry_lock(session->parts.registry);
    int r = look_up(session, parent, name, &entry);
    registry_unlock(session->parts.registry);
    if (r < 0)
        fuse_reply_err(request, -r); /* absent names are not remembered by the kernel */
    else
        fuse_reply_entry(request, &entry);
}

void session_reply_attributes(fuse_req_t request, fuse_ino_t id, bool reading)
{
    struct session *session = session_of(request);
    struct stat attributes;
    struct node node;
    if (!node_from_id(id, &node)) {
        fuse_reply_err(request, ESTALE);
        return;
    }
    registry_lock(session->parts.registry);
    const struct moment moment = moment_of(session, node, reading);
    int r = attributes_of(session, node, &moment, &attributes);
    double timeout = attributes_timeout(session, node, &moment);
    registry_unlock(session->parts.registry);
    if (r < 0)
        fuse_reply_err(request, -r);
    else
        fuse_reply_attr(request, &attributes, timeout);
}

/* The kernel names an open file when it asks on behalf of a read(2), and none for stat(2) and open(2). */
static void on_getattr(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
    session_reply_attributes(request, id, file != NULL);
}

static void on_readlink(fuse_req_t request, fuse_ino_t id)
{
    struct session *session = session_of(request);
    char target[512];
    const void *data;
    size_t size = 0;
    struct node node;
    int r = -EINVAL;

    if (node_from_id(id, &node) && node.kind == NODE_KIND_PUBLISHED && node.file == PUBLISHED_CURRENT) {
        registry_lock(session->parts.registry);
        const struct moment moment = moment_of(session, node, false);
        r = content_bytes(session->parts.registry, session->tree.reports, node, &moment, &data, &size);
        if (r == 0 && size < sizeof(target)) {
            memcpy(target, data, size);
            target[size] = '\0';
        }
        registry_unlock(session->parts.registry);
    }
    if (r < 0)
        fuse_reply_err(request, -r);
    else
        fuse_reply_readlink(request, target);
}

static void on_read(fuse_req_t request, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file)
{
    struct session *session = session_of(request);
    const void *data;
    size_t total;
    struct node node;
    if (!node_from_id(id, &node)) {
        fuse_reply_err(request, ESTALE);
        return;
    }
    registry_lock(session->parts.registry);
    const struct moment moment = moment_of(session, node, true);
    int r = content_bytes(session->parts.registry, session->tree.reports, node, &moment, &data, &total);
    if (r == 0) {
        size_t begin = (uint64_t)offset < total ? (size_t)offset : total;
        size_t count = total - begin < size ? total - begin : size;
        /* a copy into the kernel, which does not wait for anyone */
        fuse_reply_buf(request, (const char *)data + begin, count);
    }
    registry_unlock(session->parts.registry);
    if (r < 0)
        fuse_reply_err(request, -r);
}

/* Adds one entry to a READDIRPLUS answer; false when it does not fit. */
static bool add_entry(struct session *session, fuse_req_t request, char *buffer, size_t room,
                      size_t *used, const struct tree_entry *entry)
{
    struct fuse_entry_param parameters;
    if (fill_entry(session, entry->node, &parameters) < 0)
        return true; /* gone meanwhile */
    if (entry->name[0] == '.' && (entry->name[1] == '\0' || entry->name[1] == '.'))
        parameters.ino = 0; /* the kernel knows these two */
    size_t size = fuse_add_direntry_plus(request, buffer + *used, room - *used, entry->name,
                                         &parameters, (off_t)entry->next);
    if (size > room - *used)
        return false;
    *used += size;
    return true;
}

static void on_readdirplus(fuse_req_t request, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file)
{
    struct session *session = session_of(request);
    struct node directory;
    char *buffer = malloc(size);
    if (!buffer || !node_from_id(id, &directory)) {
        fuse_reply_err(request, buffer ? ESTALE : ENOMEM);
        free(buffer);
        return;
    }
    size_t used = 0;
    registry_lock(session->parts.registry);
    struct tree_time time = time_of(session);
    struct tree_entry entry = {.next = (uint64_t)offset};
    while (tree_list(&session->tree, directory, entry.next, time, &entry) &&
           add_entry(session, request, buffer, size, &used, &entry))
        ;
    registry_unlock(session->parts.registry);
    fuse_reply_buf(request, buffer, used);
    free(buffer);
}

/* df must not fail, and shows a filesystem of no size only when asked for all. */
static void on_statfs(fuse_req_t request, fuse_ino_t id)
{
    const struct statvfs zeros = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};
    fuse_reply_statfs(request, &zeros);
}

/* A line about the open, if NODE is one of a key's private files. */
static void tell_open(struct session *session, const struct fuse_ctx *context, struct node node)
{
    struct audit_open opened = {.pid = context->pid};
    registry_lock(session->parts.registry);
    opened.time = time_of(session).now;
    const struct fuse_in_header *header = receive_slot_bytes(session->parts.slots, session->slot);
    bool wanted = !audit_has(session->parts.audit, header->unique) &&
                  content_audited(session->parts.registry, node, &opened);
    registry_unlock(session->parts.registry);
    if (!wanted)
        return;
    const struct caller caller = caller_find(context->pid, context->uid, context->gid);
    opened.uid = caller.uid;
    opened.gid = caller.gid;
    audit_find_program(session->parts.sees_pids ? caller.pid : 0, opened.program);
    audit_add(session->parts.audit, header->unique, &opened);
    audit_log_wake(session->parts.audit_log);
}

/* Pages stay cached, and closing is not told. */
static void on_open(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
    struct session *session = session_of(request);
    struct node node;
    if (!session->parts.audit) {
        fuse_reply_err(request, ENOSYS);
    } else if (!node_from_id(id, &node)) {
        fuse_reply_err(request, ESTALE);
    } else {
        tell_open(session, fuse_req_ctx(request), node);
        file->keep_cache = 1;
        fuse_device_set_no_flush(file);
        fuse_reply_open(request, file);
    }
}

static void on_opendir(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
    fuse_reply_err(request, ENOSYS);
}

void session_add_reads(struct fuse_lowlevel_ops *operations)
{
    operations->lookup = on_lookup;
    operations->getattr = on_getattr;
    operations->readlink = on_readlink;
    operations->open = on_open;
    operations->read = on_read;
    operations->opendir = on_opendir;
    operations->readdirplus = on_readdirplus;
    operations->statfs = on_statfs;
}
