/*
 * What KMS itself says that it no longer has: an AAP, a client key. Nothing is taken away here; its state is deleted. The
 * engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;

/* KMS has the AAP of that NUMBER, or, GONE, has not. */
void gone_note_aap(struct engine *engine, uint32_t number, bool gone);

/* KMS does not have this key of it. Its time is beyond doubt. */
void gone_note_key(struct engine *engine, uint32_t number, const char *client_key_id);
