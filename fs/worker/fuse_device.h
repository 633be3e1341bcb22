/*
 * /dev/fuse in libfuse's hands. The session's own; its thread, and the engine's answers.
 */
#pragma once

#include <stdbool.h>

#include "fs/worker/session.h"

/* Gives the descriptor FUSE to the session's libfuse, which closes it. */
bool fuse_device_give(struct session *session, int fuse);

/* Whether INIT's answer can be changed, as session->takes_idmap tells to: only since libfuse 3.14. */
enum { FUSE_DEVICE_SEES_ANSWERS = FUSE_VERSION >= FUSE_MAKE_VERSION(3, 14) };

/* Nobody is told when FILE is closed. Before libfuse 3.11, and Linux 5.16, the first time somebody is. */
void fuse_device_set_no_flush(struct fuse_file_info *file);
