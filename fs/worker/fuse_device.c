#include "fs/worker/fuse_device.h"

#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>

#include "fs/worker/init_reply.h"
#include "fs/worker/session_state.h"

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 14)

/* What libfuse answers. */
static ssize_t send_answer(int fuse, struct iovec *parts, int count, void *user)
{
    struct session *session = user;
    /* the first answer is INIT's, before there are others; from then on the engine's thread answers, too */
    if (atomic_load_explicit(&session->takes_idmap, memory_order_relaxed)) {
        if (init_reply_take_idmap(parts, count))
            session->agreement.wanted |= MOUNT_AGREEMENT_IDMAP;
        atomic_store_explicit(&session->takes_idmap, false, memory_order_relaxed);
    }
    return writev(fuse, parts, count);
}

/* libfuse wants one; requests are received here (receive). */
static ssize_t refuse_to_read(int fuse, void *buffer, size_t size, void *user)
{
    errno = EOPNOTSUPP;
    return -1;
}

bool fuse_device_give(struct session *session, int fuse)
{
    static const struct fuse_custom_io io = {.writev = send_answer, .read = refuse_to_read};
    return fuse_session_custom_io(session->fuse, &io, fuse) == 0;
}

void fuse_device_set_no_flush(struct fuse_file_info *file)
{
    file->noflush = 1;
}

#else

bool fuse_device_give(struct session *session, int fuse)
{
    char name[32];
    snprintf(name, sizeof(name), "/dev/fd/%d", fuse);
    return fuse_session_mount(session->fuse, name) == 0;
}

void fuse_device_set_no_flush(struct fuse_file_info *file)
{
}

#endif
