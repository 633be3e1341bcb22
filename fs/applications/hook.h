/*
 * on_rotate: a command for those who load a key once, when they start. It runs when a rotation has been published, at
 * least once for each, one at a time for an AAP; a rotation meanwhile gets a run afterwards, with the newest key. A
 * first key is no rotation.
 *
 * What was dealt with is in the mount memory (numbered_aap.hook_generation): a run that a worker did not see end is
 * the next one's. What the whole daemon did not see end well is run once by the next
 * mount on that state: notified.c. The engine's thread only.
 */
#pragma once

#include <stdint.h>

struct engine;

/* Runs what is due for AAP; after each publication of its names. */
void hook_tend(struct engine *engine, uint32_t aap);

/* The same for every AAP: for what an earlier worker has left. */
void hook_tend_all(struct engine *engine);
