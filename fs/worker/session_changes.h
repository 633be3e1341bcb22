/*
 * What would change something: control writes, which go to the engine, and the publisher's own renames. Every other change
 * is refused, for root too: clean-up tools must never reach KMS. The session's thread.
 */
#pragma once

#include "fs/worker/session_state.h"

void session_add_changes(struct fuse_lowlevel_ops *operations);
