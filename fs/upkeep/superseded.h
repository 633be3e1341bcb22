/*
 * Superseded keys that were made here are deleted in KMS, as delete_superseded says. What a listing or a human did with
 * other keys is not this file's affair: adopted ones, orphans and rejected ones stay. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct operation;

/* *READY: a key is to be deleted. As upkeep.h says of looks. */
int64_t superseded_look(struct engine *engine, uint32_t aap, bool *ready);

void superseded_begin(struct engine *engine, uint32_t aap);
void superseded_ended(struct operation *operation, int result);
