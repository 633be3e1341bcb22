/* The start: the registry as the store has it, before anybody asks. The main thread, before the engine's begins. */
#pragma once

struct engine;

/* Fills the registry from the store. Before the engine's thread begins. 0, or negative errno after a line. */
int load_store(struct engine *engine);
