/*
 * The loop that carries out what control writes ask for, and the only writer of the registry. A thread of its own, which
 * alone talks to KMS; the session hands it writes and never waits for it.
 */
#pragma once

#include <stdbool.h>

#include "fs/engine/parts.h"

struct engine;

/*
 * Opens the store, where there is one yet, fills the registry from it, and starts the thread. NULL after a line: the
 * store does not open, memory is short …
 */
struct engine *loop_start(const struct engine_parts *parts);

/* Hands over a write; any thread. False when memory is short: the caller answers it then. */
bool loop_submit(struct engine *engine, const struct engine_write *write);

/* Those below: from receive_messages only. */

/*
 * DRAIN: no write is begun any more, and DRAINED called once when none is under way and every key is saved. Else goes
 * on as before.
 */
void loop_drain(struct engine *engine, bool drain);

/* Ends the writes that asked for an upgrade: NUMBER 0, or an errno and why. */
void loop_verdict(struct engine *engine, int number, const char *text);

/* Ends the thread and frees; writes that still wait are answered with EIO. */
void loop_stop(struct engine *engine);
