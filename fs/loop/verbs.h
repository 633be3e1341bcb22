/*
 * The commands of control, one line each: what each is called in last_error, what begins it, and when it may. The engine's
 * thread.
 */
#pragma once

#include "fs/engine/operation.h"

extern const struct verb verbs[CONTROL_VERBS];
