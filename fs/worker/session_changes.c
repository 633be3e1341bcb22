#include "fs/worker/session_changes.h"

#include <errno.h>

#include "fs/loop/loop.h"
#include "fs/worker/caller.h"
#include "fs/worker/session_reads.h"

static bool is_control(fuse_ino_t id, struct node *node)
{
    return node_from_id(id, node) && (node->kind == NODE_KIND_AAP_CONTROL || node->kind == NODE_KIND_MOUNT_CONTROL);
}

/* `> control` truncates before it writes: accepted, and changes nothing. */
static void on_setattr(fuse_req_t request, fuse_ino_t id, struct stat *wanted, int to_set, struct fuse_file_info *file)
{
    struct node node;
    static const int never = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
    if (!is_control(id, &node) || (to_set & never) || !(to_set & FUSE_SET_ATTR_SIZE) || wanted->st_size != 0)
        fuse_reply_err(request, EPERM);
    else
        session_reply_attributes(request, id, false);
}

/* The publisher's byte, by which watchers hear that a file shows another key, is swallowed. */
static int touch_file(struct session *session, fuse_ino_t id, size_t size, off_t offset)
{
    struct node node;
    int r = -EPERM;
    if (size == 1 && offset == 0 && node_from_id(id, &node)) {
        registry_lock(session->parts.registry);
        r = hidden_write(session->parts.publications, node);
        registry_unlock(session->parts.registry);
    }
    return r;
}

/* A control write goes to the engine; its slot stays until that has answered. */
static void on_write(fuse_req_t request, fuse_ino_t id, const char *data, size_t size,
                     off_t offset, struct fuse_file_info *file)
{
    struct session *session = session_of(request);
    struct receive_slots *slots = session->parts.slots;
    struct node node;
    if (!is_control(id, &node)) {
        if (touch_file(session, id, size, offset) == 0)
            fuse_reply_write(request, size);
        else
            fuse_reply_err(request, EPERM);
        return;
    }
    if (receive_slots_left(slots) == 0) { /* the last one is for those who read */
        fuse_reply_err(request, EBUSY);
        return;
    }
    uint64_t number = pending_add(session->parts.pending, request, size, session->slot);
    if (number == 0) {
        fuse_reply_err(request, ENOMEM);
        return;
    }
    session->waits = true;
    struct receive_slot_note *note = receive_slot_note(slots, session->slot);
    const struct fuse_ctx *context = fuse_req_ctx(request);
    const struct caller caller = caller_find(context->pid, context->uid, context->gid);
    const struct engine_write write = {
        .number = number,
        .aap = node.kind == NODE_KIND_AAP_CONTROL ? node.number : 0,
        .offset = offset, .data = data, .size = size,
        .pid = caller.pid, .uid = caller.uid,
        .inherited = session->stage == SLOT_WAITING || session->stage == SLOT_UPGRADE,
        .intent = note->intent,
        .upgrade = session->stage == SLOT_UPGRADE,
    };
    if (!write.inherited)
        note->stage = SLOT_HELD;
    pending_allow_interrupt(session->parts.pending, number, request);
    if (!loop_submit(session->engine, &write))
        pending_answer(session->parts.pending, number, -ENOMEM);
}

static void on_rename(fuse_req_t request, fuse_ino_t from, const char *from_name, fuse_ino_t to,
                      const char *to_name, unsigned int flags)
{
    struct session *session = session_of(request);
    struct node parent;
    int r = -EPERM;
    if (from == to && flags == 0 && node_from_id(from, &parent)) {
        registry_lock(session->parts.registry);
        r = hidden_rename(session->parts.publications, parent, from_name, to_name);
        registry_unlock(session->parts.registry);
    }
    fuse_reply_err(request, -r);
}

/* HIDDEN_REMOVE: hidden_unlink or hidden_rmdir. */
static void remove_name(fuse_req_t request, fuse_ino_t parent_id, const char *name,
                        int (*hidden_remove)(struct publications *publications, struct node parent, const char *name))
{
    struct session *session = session_of(request);
    struct node parent;
    int r = -EPERM;
    if (node_from_id(parent_id, &parent)) {
        registry_lock(session->parts.registry);
        r = hidden_remove(session->parts.publications, parent, name);
        registry_unlock(session->parts.registry);
    }
    fuse_reply_err(request, -r);
}

static void on_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    remove_name(request, parent, name, hidden_unlink);
}

static void on_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    remove_name(request, parent, name, hidden_rmdir);
}

static void refuse_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    fuse_reply_err(request, EPERM);
}

static void refuse_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
    fuse_reply_err(request, EPERM);
}

static void refuse_symlink(fuse_req_t request, const char *target, fuse_ino_t parent, const char *name)
{
    fuse_reply_err(request, EPERM);
}

static void refuse_link(fuse_req_t request, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
    fuse_reply_err(request, EPERM);
}

static void refuse_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                          struct fuse_file_info *file)
{
    fuse_reply_err(request, EPERM);
}

void session_add_changes(struct fuse_lowlevel_ops *operations)
{
    operations->setattr = on_setattr;
    operations->write = on_write;
    operations->rename = on_rename;
    operations->unlink = on_unlink;
    operations->rmdir = on_rmdir;
    operations->mknod = refuse_mknod;
    operations->mkdir = refuse_mkdir;
    operations->symlink = refuse_symlink;
    operations->link = refuse_link;
    operations->create = refuse_create;
}
