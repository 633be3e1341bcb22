/*
 * What a mount does by itself: each AAP is looked at when something of it comes due, and at least once a minute, so that
 * a clock that was set or a machine that was asleep is noticed. Each subject has a file of its own; the engine's thread.
 */
#ifndef AAPFS_FS_UPKEEP_UPKEEP_H
#define AAPFS_FS_UPKEEP_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct operation;

/* At the engine's start, and before it takes anything up: what is known already; whether the clock was set. */
void upkeep_start(struct engine *engine);
void upkeep_follow_clock(struct engine *engine);

/* Looks, and begins what is due and may go out. When to look again is engine->upkeep_ms. */
void upkeep_tend(struct engine *engine);

/* What status tells of AAP, which is there. */
void upkeep_fill(struct engine *engine, uint32_t aap);

/* `reloaded`, `rotate-due`. */
void upkeep_begin_reloaded(struct operation *operation);
void upkeep_begin_rotate_due(struct operation *operation);

/* OPERATION, anybody's, ends with RESULT. */
void upkeep_ended(struct operation *operation, int result);

/*
 * The subjects' looks (rotations, scheduled, superseded, warnings; told): each looks at the AAP of that number and tells in
 * how many milliseconds at the latest it wants to look again; 0 stands for "at once".
 */

#endif
