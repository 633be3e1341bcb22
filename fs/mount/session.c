#include "fs/mount/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "fs/mount/request_name.h"
#include "fs/keys/clock.h"
#include "fs/keys/control.h"
#include "fs/stops.h"
#include "fs/tree/tree.h"

/*
 * What a request is blamed for: a worker that crashed with it in hand, and little for one that was killed, by a person or for
 * want of memory. Two crashes, or sixteen kills in a row, are too much.
 */
enum { CRASH_BLAME = 8, KILL_BLAME = 1, BLAME_MOST = 16 };

struct session {
    struct session_parts parts;
    struct tree tree;
    struct fuse_session *fuse;
    struct engine *engine;
    struct mount_agreement agreement;
    struct audit *audit; /* NULL: opens are not told */
    int stop; /* eventfd: readable when session_run is to return */
    atomic_bool stopping;

    /* the request in hand */
    int slot;
    uint32_t stage; /* in which an earlier worker left it; SLOT_RECEIVED for a new one */
    bool waits;     /* its slot is pending.h's now */
};

static struct session *session_of(fuse_req_t request)
{
    return fuse_req_userdata(request);
}

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
    return (struct moment){clock_monotonic_ms(), session->parts.settle_ms, reading};
}

/* In seconds: of the attributes that NODE has at MOMENT. */
static double attributes_timeout(const struct session *session, struct node node, const struct moment *moment)
{
    if (node.kind != NODE_KIND_PUBLISHED)
        return (double)moment->settle_ms / 1000.0;
    if (hidden_has_name(session->parts.publications, node))
        return 0;
    return (double)shown_timeout_ms(session->parts.registry, node, moment) / 1000.0;
}

/* A report's name always asks again; every other one keeps. */
static double name_timeout(const struct session *session, struct node node)
{
    return node.kind == NODE_KIND_REPORT ? 0 : (double)session->parts.settle_ms / 1000.0;
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

/* A directory that went and came again: the kernel has buried the first. */
static uint64_t generation_of(struct session *session, struct node node)
{
    struct numbers *numbers = registry_numbers(session->parts.registry);
    const struct numbered_aap *aap = node.kind == NODE_KIND_AAP ? numbers_aap(numbers, node.number) : NULL;
    const struct numbered_key *key = node.kind == NODE_KIND_KEY ? numbers_key(numbers, node.number) : NULL;
    return 1 + (uint64_t)(aap ? aap->removals : key ? key->removals : 0);
}

/* The entry of NODE as the kernel wants it. 0 or negative errno. Registry's lock held. */
static int fill_entry(struct session *session, struct node node, struct fuse_entry_param *entry)
{
    const struct moment moment = moment_of(session, node, false);
    *entry = (struct fuse_entry_param){.ino = node_id_of(node), .generation = generation_of(session, node)};
    int r = attributes_of(session, node, &moment, &entry->attr);
    entry->attr_timeout = attributes_timeout(session, node, &moment);
    entry->entry_timeout = name_timeout(session, node);
    return r;
}

static int look_up(struct session *session, fuse_ino_t parent_id, const char *name,
                   struct fuse_entry_param *entry)
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

static void reply_attributes(fuse_req_t request, fuse_ino_t id, bool reading)
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
    reply_attributes(request, id, file != NULL);
}

static bool is_control(fuse_ino_t id, struct node *node)
{
    return node_from_id(id, node) &&
           (node->kind == NODE_KIND_AAP_CONTROL || node->kind == NODE_KIND_MOUNT_CONTROL);
}

/* `> control` truncates before it writes: accepted, and changes nothing. */
static void on_setattr(fuse_req_t request, fuse_ino_t id, struct stat *wanted, int to_set,
                       struct fuse_file_info *file)
{
    struct node node;
    static const int never = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
    if (!is_control(id, &node) || (to_set & never) || !(to_set & FUSE_SET_ATTR_SIZE) ||
        wanted->st_size != 0)
        fuse_reply_err(request, EPERM);
    else
        reply_attributes(request, id, false);
}

static void on_readlink(fuse_req_t request, fuse_ino_t id)
{
    struct session *session = session_of(request);
    char target[512];
    const void *data;
    size_t size = 0;
    struct node node;
    int r = -EINVAL;

    if (node_from_id(id, &node) && node.kind == NODE_KIND_PUBLISHED &&
        node.file == PUBLISHED_CURRENT) {
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

static void on_read(fuse_req_t request, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *file)
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

static void on_readdirplus(fuse_req_t request, fuse_ino_t id, size_t size, off_t offset,
                           struct fuse_file_info *file)
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
    const struct fuse_ctx *caller = fuse_req_ctx(request);
    const struct engine_write write = {
        .number = number,
        .aap = node.kind == NODE_KIND_AAP_CONTROL ? node.number : 0,
        .offset = offset,
        .data = data,
        .size = size,
        .pid = caller->pid,
        .uid = caller->uid,
        .inherited = session->stage == SLOT_WAITING || session->stage == SLOT_UPGRADE,
        .intent = note->intent,
        .upgrade = session->stage == SLOT_UPGRADE,
    };
    if (!write.inherited)
        note->stage = SLOT_HELD;
    pending_allow_interrupt(session->parts.pending, number, request);
    if (!engine_submit(session->engine, &write))
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

static void on_unlink(fuse_req_t request, fuse_ino_t parent_id, const char *name)
{
    struct session *session = session_of(request);
    struct node parent;
    int r = -EPERM;
    if (node_from_id(parent_id, &parent)) {
        registry_lock(session->parts.registry);
        r = hidden_unlink(session->parts.publications, parent, name);
        registry_unlock(session->parts.registry);
    }
    fuse_reply_err(request, -r);
}

static void on_rmdir(fuse_req_t request, fuse_ino_t parent_id, const char *name)
{
    struct session *session = session_of(request);
    struct node parent;
    int r = -EPERM;
    if (node_from_id(parent_id, &parent)) {
        registry_lock(session->parts.registry);
        r = hidden_rmdir(session->parts.publications, parent, name);
        registry_unlock(session->parts.registry);
    }
    fuse_reply_err(request, -r);
}

/* df must not fail, and shows a filesystem of no size only when asked for all. */
static void on_statfs(fuse_req_t request, fuse_ino_t id)
{
    const struct statvfs zeros = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};
    fuse_reply_statfs(request, &zeros);
}

/* A line about the open, if NODE is one of a key's private files. */
static void tell_open(struct session *session, const struct fuse_ctx *caller, struct node node)
{
    struct audit_open opened = {.pid = caller->pid, .uid = caller->uid, .gid = caller->gid};
    registry_lock(session->parts.registry);
    opened.time = time_of(session).now;
    const struct fuse_in_header *header = receive_slot_bytes(session->parts.slots, session->slot);
    bool wanted = !audit_has(session->audit, header->unique) && audit_name(session->parts.registry, node, &opened);
    registry_unlock(session->parts.registry);
    if (!wanted)
        return;
    audit_find_program(caller->pid, opened.program);
    audit_add(session->audit, header->unique, &opened, audit_log_add(session->parts.audit_log, &opened));
}

/* Pages stay cached, and closing is not told. */
static void on_open(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
    struct session *session = session_of(request);
    struct node node;
    if (!session->audit) {
        fuse_reply_err(request, ENOSYS);
    } else if (!node_from_id(id, &node)) {
        fuse_reply_err(request, ESTALE);
    } else {
        tell_open(session, fuse_req_ctx(request), node);
        file->keep_cache = 1;
        file->noflush = 1;
        fuse_reply_open(request, file);
    }
}

static void on_opendir(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *file)
{
    fuse_reply_err(request, ENOSYS);
}

/* Every other change is refused, for root too: clean-up tools must never reach KMS. */

static void refuse_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                         dev_t device)
{
    fuse_reply_err(request, EPERM);
}

static void refuse_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
    fuse_reply_err(request, EPERM);
}

static void refuse_symlink(fuse_req_t request, const char *target, fuse_ino_t parent,
                           const char *name)
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

static void on_init(void *user, struct fuse_conn_info *connection)
{
    /*
     * With atomic O_TRUNC the kernel would set control's size to 0 by itself; with splice libfuse
     * would keep requests in pipes; READDIRPLUS_AUTO costs a lookup for every name.
     */
    connection->want &= ~(unsigned int)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ |
                                        FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                                        FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_IOCTL_DIR |
                                        FUSE_CAP_WRITEBACK_CACHE);
    connection->max_write = RECEIVE_SLOT_MAX_WRITE;
    connection->want |= connection->capable &
                        (FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPORT_SUPPORT |
                         FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_AUTO_INVAL_DATA |
                         FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT);
    struct session *session = user;
    session->agreement = (struct mount_agreement){
        .protocol_minor = connection->proto_minor,
        .wanted = connection->want,
        .max_write = connection->max_write,
        .max_readahead = connection->max_readahead,
        .max_background = connection->max_background,
        .congestion_threshold = connection->congestion_threshold,
        .time_granularity = connection->time_gran,
    };
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = on_lookup,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .readlink = on_readlink,
    .mknod = refuse_mknod,
    .mkdir = refuse_mkdir,
    .unlink = on_unlink,
    .rmdir = on_rmdir,
    .symlink = refuse_symlink,
    .rename = on_rename,
    .link = refuse_link,
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .opendir = on_opendir,
    .readdirplus = on_readdirplus,
    .statfs = on_statfs,
    .create = refuse_create,
};

static bool make_parts(struct session *session, const struct session_parts *parts, int fuse)
{
    struct mount_head *head = parts->memory->head;
    session->audit = parts->audit_log ? audit_open(parts->memory->audit) : NULL;
    const struct report_facts facts = {
        .region = parts->region,
        .endpoint = parts->endpoint,
        .mountpoint = parts->mountpoint,
        .requests = head->requests,
        .request_name = request_name,
        .request_kinds = MOUNT_MEMORY_OPCODES,
        .mounted_ns = head->mounted_ns,
        .sync_interval_seconds = parts->sync_interval_seconds,
        .describe_credentials = parts->describe_credentials,
        .user = parts->user,
        .counters = parts->memory->counters,
        .worker_restarts = &head->worker_restarts,
        .unreachable = &head->unreachable,
        .audit = session->audit,
    };
    session->tree = (struct tree){
        parts->registry,
        reports_new(parts->registry, &facts, report_history_open(parts->memory->reports)),
    };
    char program[] = "aapfs", path[32];
    char *arguments[] = {program, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, arguments);
    snprintf(path, sizeof(path), "/dev/fd/%d", fuse);
    session->fuse = fuse_session_new(&args, &operations, sizeof(operations), session);
    fuse_opt_free_args(&args); /* libfuse made a copy of the words */
    session->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return session->tree.reports && session->fuse && session->stop >= 0 &&
           fuse_session_mount(session->fuse, path) == 0;
}

int session_try(struct mount_memory *memory, int fuse)
{
    const struct session_parts parts = {.memory = memory};
    int own = fcntl(fuse, F_DUPFD_CLOEXEC, 3); /* libfuse closes it */
    struct session *session = own < 0 ? NULL : session_new(&parts, own);
    int r = session ? session_agree(session) : -ENOMEM;
    session_free(session);
    return r;
}

struct session *session_new(const struct session_parts *parts, int fuse)
{
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->parts = *parts;
    session->stop = -1;
    if (!make_parts(session, parts, fuse)) {
        session_free(session);
        return NULL;
    }
    return session;
}

void session_set_engine(struct session *session, struct engine *engine)
{
    session->engine = engine;
}

/* -- agreeing with the kernel, once a mount ------------------------------------------------ */

int session_agree(struct session *session)
{
    struct mount_head *head = session->parts.memory->head;
    /*
     * The first worker's answer reaches the kernel. To a later one the kernel says ENOENT, which libfuse takes for
     * an interrupted request; libfuse has set itself up all the same.
     */
    struct fuse_buf init = {.mem = head->init, .size = head->init_size};
    fuse_session_process_buf(session->fuse, &init);
    if (session->agreement.protocol_minor == 0)
        return -EPROTO;
    if (head->agreement.protocol_minor == 0) {
        head->agreement = session->agreement;
        return 0;
    }
    return memcmp(&head->agreement, &session->agreement, sizeof(head->agreement)) == 0 ? 0 : -EPROTO;
}

/* -- requests ------------------------------------------------------------------------------ */

/* The request in SLOT: to libfuse, which calls the functions above. */
static void process(struct session *session, int slot, size_t size)
{
    struct receive_slots *slots = session->parts.slots;
    struct receive_slot_note *note = receive_slot_note(slots, slot);
    struct fuse_buf buffer = {.mem = receive_slot_bytes(slots, slot), .size = size};

    session->slot = slot;
    session->stage = note->stage;
    session->waits = false;
    if (session->stage != SLOT_WAITING && session->stage != SLOT_UPGRADE)
        note->stage = SLOT_IN_HAND;
    fuse_session_process_buf(session->fuse, &buffer);
    if (!session->waits)
        receive_slot_release(slots, slot);
    session->parts.memory->head->answered++;
}

/* Without libfuse, which might be what two workers died in. */
static void refuse(struct session *session, int slot)
{
    const struct fuse_in_header *header = receive_slot_bytes(session->parts.slots, slot);
    const struct fuse_out_header reply = {.len = sizeof(reply), .error = -EIO, .unique = header->unique};
    const char *kind = request_name(header->opcode);
    session->parts.say(session->parts.user, "a %s request of process %u was refused: workers died with it again and again",
                       kind ? kind : "FUSE", header->pid);
    if (write(fuse_session_fd(session->fuse), &reply, sizeof(reply)) < 0 && errno != ENOENT)
        session->parts.say(session->parts.user, "/dev/fuse: %s", strerror(errno));
    receive_slot_release(session->parts.slots, slot);
}

void session_take_over(struct session *session)
{
    struct receive_slots *slots = session->parts.slots;
    for (int slot = -1; (slot = receive_slots_next_left(slots, slot + 1)) >= 0;) {
        struct receive_slot_note *note = receive_slot_note(slots, slot);
        if (note->stage == SLOT_IN_HAND)
            note->blame += session->parts.memory->head->worker_was_killed ? KILL_BLAME : CRASH_BLAME;
        if (note->blame >= BLAME_MOST)
            refuse(session, slot);
        else
            process(session, slot, receive_slot_request_size(slots, slot));
    }
    session->parts.memory->head->served = 1;
}

/* The size of the request that came into SLOT; 0: stop; negative errno. */
static ssize_t receive(struct session *session, int slot)
{
    int fuse = fuse_session_fd(session->fuse);
    while (!atomic_load(&session->stopping)) {
        ssize_t size = read(fuse, receive_slot_bytes(session->parts.slots, slot), RECEIVE_SLOT_SIZE);
        if (size >= 0)
            return (size_t)size < sizeof(struct fuse_in_header) ? -EIO : size;
        if (errno == EAGAIN) {
            struct pollfd polled[] = {{.fd = fuse, .events = POLLIN},
                                      {.fd = session->stop, .events = POLLIN}};
            (void)poll(polled, 2, -1);
        } else if (errno != EINTR && errno != ENOENT) { /* ENOENT: its caller was killed meanwhile */
            return -errno;
        }
    }
    return 0;
}

/*
 * Not what is asked about the reports: whoever looks at `status` would change it by that, and cp finds another file than
 * it saw. Nor what is forgotten, which comes when it comes.
 */
static bool is_counted(const struct fuse_in_header *header)
{
    struct node node;
    return header->opcode < MOUNT_MEMORY_OPCODES && header->opcode != FUSE_FORGET &&
           header->opcode != FUSE_BATCH_FORGET &&
           !(node_from_id(header->nodeid, &node) &&
             (node.kind == NODE_KIND_MOUNT || node.kind == NODE_KIND_REPORT));
}

int session_run(struct session *session)
{
    struct receive_slots *slots = session->parts.slots;
    uint64_t *requests = session->parts.memory->head->requests;
    ssize_t size;
    for (;;) {
        int slot = receive_slots_take(slots); /* there is one: on_write leaves one */
        size = slot < 0 ? -EBUSY : receive(session, slot);
        if (size <= 0) {
            if (slot >= 0)
                receive_slot_release(slots, slot);
            break;
        }
        const struct fuse_in_header *header = receive_slot_bytes(slots, slot);
        if (is_counted(header))
            requests[header->opcode]++;
        process(session, slot, (size_t)size);
    }
    return size == 0 ? SESSION_STOPPED : size == -ENODEV ? SESSION_UNMOUNTED : (int)size;
}

void session_stop(struct session *session)
{
    static const uint64_t one = 1;
    atomic_store(&session->stopping, true);
    ssize_t written = write(session->stop, &one, sizeof(one));
    (void)written; /* it is readable already */
}

void session_free(struct session *session)
{
    if (!session)
        return;
    if (session->fuse)
        fuse_session_destroy(session->fuse);
    if (session->stop >= 0)
        close(session->stop);
    reports_free(session->tree.reports);
    free(session);
}
