/*
 * What this host tells the fleet: its keys, which is the current one, and which it has deleted. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct fleet;
struct fleet_aap;
struct operation;

/*
 * Begins to tell one key, or one deletion, of AAP that the fleet does not know; false: it knows all of them, or it cannot be
 * told now, for want of something of this host's own. With its end AAP is due again.
 */
bool push_begin(struct fleet *fleet, struct fleet_aap *aap);

/*
 * The operation has brought a key of its AAP, which is saved: goes on with THEN when the fleet has it (TOLD), or could not be
 * told for now, which is tried again by itself. Without a fleet at once, TOLD. An intent (fleet_aap.intent) goes with it.
 */
void push_await(struct operation *operation, void (*then)(struct operation *operation, bool told));

/* Nothing of AAP is left to be told, or (not TOLD) it fails: who awaits it goes on. */
void push_told(struct fleet_aap *aap, bool told);

/* The store fails: nobody awaits it any more. */
void push_give_up(struct fleet *fleet);

/*
 * KMS has deleted the key of that id: it leaves a tombstone in the fleet, and is not taken from there again. To be called
 * before the key is forgotten here. Without a fleet it does nothing.
 */
void push_deletion(struct engine *engine, uint32_t aap, const char *client_key_id);
