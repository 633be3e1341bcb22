/*
 * Which AAP gets a first key by itself, as first_key says, and what it waits for. How, by rotations.c: as any key that
 * nobody asks for. A current key always stays known here, also when KMS has lost it: an AAP that had one gets no first key.
 * The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/model/registry.h"

struct engine;

/*
 * Whether AAP is to have one: there is none, also not a Scheduled one, nor a record that cannot be read; KMS has the AAP, and
 * the state is this machine's. With the registry's lock.
 */
bool first_keys_are_wanted(const struct engine *engine, const struct registry_aap *aap);

/*
 * What has to be known before it is made: which keys KMS has of AAP, in an account that KMS itself has told, and what came of
 * earlier creations. NULL: all of it is.
 */
const char *first_keys_wait_for(const struct engine *engine, uint32_t aap);
