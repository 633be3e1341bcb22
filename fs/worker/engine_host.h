/*
 * The worker as the engine's host: the result of a write is told to who waits for it, and to the supervisor, whose
 * messages come here. The functions that the engine is given are called by its thread.
 */
#pragma once

#include "fs/worker/worker_state.h"

/* Starts the engine over the other parts of WORKER. NULL: memory, or a line in the log. The session's thread. */
struct engine *engine_host_start(struct worker *worker);
