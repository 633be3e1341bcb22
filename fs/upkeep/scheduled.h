/*
 * A key whose NotBefore the user gave, and which was made while another one was current, becomes the current one when it
 * begins. The engine's thread.
 */
#pragma once

#include <stdint.h>

struct engine;

/* A Scheduled key that has begun becomes the current one. As upkeep.h says of looks. */
int64_t scheduled_look(struct engine *engine, uint32_t aap);
