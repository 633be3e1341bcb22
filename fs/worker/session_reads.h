/* What a reader asks for: names, attributes, bytes, listings, opens. All of it is in memory. The session's thread. */
#pragma once

#include "fs/worker/session_state.h"

/* Those of OPERATIONS that only look. */
void session_add_reads(struct fuse_lowlevel_ops *operations);

/* Answers with the attributes of ID. READING: on behalf of a read(2). */
void session_reply_attributes(fuse_req_t request, fuse_ino_t id, bool reading);
