/*
 * Publications that an earlier worker left half done.
 *
 * One that was not seen to end is made again as a whole, and as a new generation of the same key: then the node that a
 * name is to lead to differs from any that the kernel may have for it, the rename is a rename, and every watcher hears
 * of it. A directory that somebody may have seen already stays as it is: it has but one node. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;

/*
 * At the engine's start: publishes what an earlier worker left half published. Watchers may hear of a name twice,
 * readers never see one go back.
 */
void catch_up(struct engine *engine);
