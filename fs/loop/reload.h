/*
 * A new configuration while the mount lives: everything that looks into the old one is led to the new one, and the
 * kernel is told to ask again for the owners and modes that it remembers. The engine's thread.
 */
#pragma once

#include <stdbool.h>

#include "fs/config/config.h"

struct engine;
struct operation;

/* `reload`. */
void reload_begin(struct operation *operation);

/* An earlier worker may have died before the kernel was told of a new configuration: it is told of everything. */
void reload_refresh_all(struct engine *engine);

void reload_free(struct engine *engine);

/* Those below: from receive_messages only. */

/*
 * From now on CONFIG holds, which outlives the engine or the next reload_config; nothing uses the one before. ASKED:
 * it is what a write has asked for.
 */
void reload_config(struct engine *engine, const struct config *config, bool asked);

/* Ends the writes that asked for that: an errno and why. */
void reload_refused(struct engine *engine, int number, const char *text);
