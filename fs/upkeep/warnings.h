/*
 * A line to the log before something that applications use ends and nothing will see to it by itself: a notice 180 and 90
 * days before, a warning 30 and 7 days; and an error when the current key has expired. Each once for a key in a worker's
 * life; the first when KMS's time is known, or KMS has told none for a while. The engine's thread.
 */
#pragma once

#include <stdint.h>

struct engine;

/* As upkeep.h says of looks. */
int64_t warnings_look(struct engine *engine, uint32_t aap);
