/*
 * The start: the registry as the store has it, before anybody asks. The main thread, before the engine's begins.
 */
#ifndef AAPFS_FS_LOOP_LOAD_H
#define AAPFS_FS_LOOP_LOAD_H

struct engine;

/* Fills the registry from the store. Before the engine's thread begins. 0, or negative errno after a line. */
int load_store(struct engine *engine);

#endif
