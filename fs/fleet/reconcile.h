/*
 * The one rule of a fleet, for one AAP: what the fleet has and this host has not comes here, the current key first; what this
 * host has and the fleet has not goes there; of two `current` the greater one (creation time, ClientKeyId) stays. Nothing
 * is removed by it but a superseded key with a tombstone. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fleet;
struct fleet_aap;
struct engine;

/* Looks at AAP, and begins what is next: one thing at a time. */
void reconcile(struct fleet *fleet, struct fleet_aap *aap);

/*
 * Whether a key that CLIENT_KEY_ID and MADE_NS (of the note `current`) name is still to come here, and would become the
 * current one: whoever holds the lock makes none then.
 */
bool reconcile_is_behind(struct engine *engine, uint32_t aap, const char *client_key_id, int64_t made_ns);
