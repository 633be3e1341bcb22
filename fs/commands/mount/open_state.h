/*
 * Opens a mount's state and looks whether its key fits, before anything is mounted. The main thread of the process
 * that mounts.
 */
#pragma once

#include "fs/store/state.h"

/*
 * The state at PLACES for a mount of REGION: locked, its key made when that is due. A child that lives no longer than
 * this call makes the key and tries it, so that this process never holds it. 0; or the exit status, after a line.
 */
int open_state(const struct state_places *places, const char *region, struct state *state);

/* Says that the state cannot be used, and why: the exit status. */
int open_state_tell(int error, const char *reason);
