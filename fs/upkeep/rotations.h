/*
 * Rotations that nobody asks for, and first keys (first_keys.h), which are made by the same rules. An attempt may leave a
 * client key in KMS of which nothing is known here: before the next one KMS is asked for its list, and after three in a row
 * that left one, or brought one that cannot be used, no more is made until somebody writes to the AAP's control. The
 * engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct operation;

/* Fills the registry's rotation. *READY: a rotation is to be begun; *END: when its key ends. As upkeep.h says of looks. */
int64_t rotations_look(struct engine *engine, uint32_t aap, bool *ready, int64_t *end);

void rotations_begin(struct engine *engine, uint32_t aap);
void rotations_ended(struct operation *operation, int result);

/* `rotate`, and what nobody asks for: a creation with password_source's password, or where there is no key first_key's. */
void rotations_create(struct operation *operation);

/* `rotate-due`. */
void rotations_attempt_due(struct engine *engine);
