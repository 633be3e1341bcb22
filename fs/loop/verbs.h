/*
 * The commands of control, one line each: what each is called in last_error, what begins it, and when it may. The engine's
 * thread.
 */
#ifndef AAPFS_FS_LOOP_VERBS_H
#define AAPFS_FS_LOOP_VERBS_H

#include "fs/engine/operation.h"

extern const struct verb verbs[CONTROL_VERBS];

#endif
