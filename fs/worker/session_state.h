/* What a session's files share; session.c, session_reads.c, session_changes.c, fuse_device.c and nobody else. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/tree/audit.h"
#include "fs/tree/tree.h"
#include "fs/worker/session.h"

struct session {
    struct session_parts parts;
    struct tree tree;
    struct fuse_session *fuse;
    struct engine *engine;
    struct mount_agreement agreement;
    atomic_bool takes_idmap; /* while INIT is answered: the kernel's offer is taken */
    int stop; /* eventfd: readable when session_run is to return */
    atomic_bool stopping;

    /* the request in hand */
    int slot;
    uint32_t stage; /* in which an earlier worker left it; SLOT_RECEIVED for a new one */
    bool waits;     /* its slot is pending.h's now */
};

static inline struct session *session_of(fuse_req_t request)
{
    return fuse_req_userdata(request);
}
