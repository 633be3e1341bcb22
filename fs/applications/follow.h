/*
 * Whoever holds a superseded file follows: at each switch (tree/shown.h) the kernel is told to ask again, and who
 * watches such a file, through a bind mount of it for instance, hears that it was modified. Nothing but promptness and
 * inotify depends on it. Also wipes removed keys when no file shows them any more. The engine's thread only.
 *
 * One pass at a time for each AAP, one generation after the other; what is switched meanwhile is the next pass's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;

/* After a switch, a reader in the middle of a file may end as he began for so long; then holders are told. */
enum { FOLLOW_GRACE_MS = 300 };

/* Before anything else here. False: memory is short. */
bool follow_start(struct engine *engine);

/* A generation of AAP was shown, and everybody who watches its names was told: its holders will be. */
void follow_expect(struct engine *engine, uint32_t aap);

/* At the engine's start: what the worker before has left. */
void follow_expect_all(struct engine *engine);

/* Tells whom it is time to tell. When to look again, CLOCK_MONOTONIC. */
int64_t follow_tend(struct engine *engine);

void follow_end(struct engine *engine);
