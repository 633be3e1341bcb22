#include "fs/worker/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "fs/worker/fuse_device.h"
#include "fs/worker/init_reply.h"
#include "fs/worker/request_name.h"
#include "fs/worker/session_changes.h"
#include "fs/worker/session_reads.h"
#include "fs/worker/session_state.h"
#include "kmsapi/cleanup.h"

/*
 * What a request is blamed for: a worker that crashed with it in hand, and little for one that was killed, by a person or for
 * want of memory. Two crashes, or sixteen kills in a row, are too much.
 */
enum { CRASH_BLAME = 8, KILL_BLAME = 1, BLAME_MOST = 16 };

static void on_init(void *user, struct fuse_conn_info *connection)
{
    /*
     * With atomic O_TRUNC the kernel would set control's size to 0 by itself; with splice libfuse
     * would keep requests in pipes; READDIRPLUS_AUTO costs a lookup for every name.
     */
    connection->want &= ~(unsigned int)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ |
                                        FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                                        FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_IOCTL_DIR | FUSE_CAP_WRITEBACK_CACHE);
    connection->max_write = RECEIVE_SLOT_MAX_WRITE;
    connection->want |= connection->capable &
                        (FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPORT_SUPPORT |
                         FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_AUTO_INVAL_DATA |
                         FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT);
    struct session *session = user;
    session->agreement = (struct mount_agreement){
        .protocol_minor = connection->proto_minor, .wanted = connection->want, .time_granularity = connection->time_gran,
        .max_write = connection->max_write, .max_readahead = connection->max_readahead,
        .max_background = connection->max_background, .congestion_threshold = connection->congestion_threshold,
    };
}

static bool make_parts(struct session *session, const struct session_parts *parts, int fuse)
{
    struct mount_head *head = parts->memory->head;
    const struct report_facts facts = {
        .region = parts->region, .endpoint = parts->endpoint, .mountpoint = parts->mountpoint, .state = parts->state,
        .requests = head->requests, .request_name = request_name, .request_kinds = MOUNT_MEMORY_OPCODES,
        .mounted_ns = head->mounted_ns,
        .sync_interval_seconds = parts->sync_interval_seconds,
        .describe_credentials = parts->describe_credentials, .user = parts->user,
        .counters = parts->memory->counters, .audit = parts->audit,
        .worker_restarts = &head->worker_restarts, .unreachable = &head->unreachable,
    };
    session->tree = (struct tree){
        parts->registry,
        reports_new(parts->registry, &facts, report_history_open(parts->memory->reports)),
    };
    struct fuse_lowlevel_ops operations = {.init = on_init};
    session_add_reads(&operations);
    session_add_changes(&operations);
    char program[] = "aapfs";
    char *arguments[] = {program, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, arguments);
    session->fuse = fuse_session_new(&args, &operations, sizeof(operations), session);
    fuse_opt_free_args(&args); /* libfuse made a copy of the words */
    session->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return session->tree.reports && session->fuse && session->stop >= 0 &&
           fuse_device_give(session, fuse);
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
    bool first = head->agreement.protocol_minor == 0;
    session->takes_idmap = (first ? session->parts.allow_idmap : (bool)(head->agreement.wanted & MOUNT_AGREEMENT_IDMAP)) &&
                           FUSE_DEVICE_SEES_ANSWERS && init_offers_idmap(head->init, head->init_size);
    fuse_session_process_buf(session->fuse, &init);
    if (session->agreement.protocol_minor == 0)
        return -EPROTO;
    if (first) {
        head->agreement = session->agreement;
        return 0;
    }
    return memcmp(&head->agreement, &session->agreement, sizeof(head->agreement)) == 0 ? 0 : -EPROTO;
}

/* -- requests ------------------------------------------------------------------------------ */

/* The request in SLOT: to libfuse, which calls what its operation has in session_reads.c or session_changes.c. */
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
           !(node_from_id(header->nodeid, &node) && (node.kind == NODE_KIND_MOUNT || node.kind == NODE_KIND_REPORT));
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
    cleanup_close(&session->stop);
    reports_free(session->tree.reports);
    free(session);
}
