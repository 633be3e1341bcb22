/*
 * What a mount does by itself: each AAP is looked at when something of it comes due or something of it has changed
 * (engine_wake), and at no other time. What is ready goes out one after the other, the most urgent rotation first. Each
 * subject has a file of its own; the engine's thread.
 *
 * A subject's look (rotations, scheduled, superseded, warnings; told) sees to the AAP of that number, and tells in how many
 * milliseconds at the latest it wants to look again: 0 at once, INT64_MAX when something has changed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct operation;

/* At the engine's start: what is known already. False: memory is short. */
bool upkeep_start(struct engine *engine);
void upkeep_end(struct engine *engine);

/* Before the engine takes anything up: whether the clock was set. */
void upkeep_follow_clock(struct engine *engine);

/* Looks at what is due, and begins what is ready and may go out. */
void upkeep_tend(struct engine *engine);

/* When to tend again, CLOCK_MONOTONIC. */
int64_t upkeep_next_ms(const struct engine *engine);

/* What status tells of AAP, which is there. */
void upkeep_fill(struct engine *engine, uint32_t aap);

/* `reloaded`, `rotate-due`. */
void upkeep_begin_reloaded(struct operation *operation);
void upkeep_begin_rotate_due(struct operation *operation);

/* OPERATION, anybody's, ends with RESULT. */
void upkeep_ended(struct operation *operation, int result);
