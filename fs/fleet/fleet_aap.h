/*
 * What is known of an AAP's part of the fleet. The engine's thread.
 */
#pragma once

#include <stdint.h>

#include "fs/fleet/fleet_parts.h"

/* NULL: nobody has looked at that AAP yet. */
struct fleet_aap *fleet_aap_find(const struct fleet *fleet, uint32_t number);

/* Made now if there is none. NULL: memory is short. */
struct fleet_aap *fleet_aap_make(struct fleet *fleet, uint32_t number);
void fleet_aap_free(struct fleet *fleet, struct fleet_aap *aap);

/* NULL: nothing was ever known of a key of that id; or, of the other one, memory is short. */
struct fleet_key *fleet_aap_find_key(const struct fleet_aap *aap, const char *client_key_id);
struct fleet_key *fleet_aap_make_key(struct fleet_aap *aap, const char *client_key_id);

/* What is there is going to be told anew. */
void fleet_aap_forget(struct fleet_aap *aap);

/*
 * ENTRY, of NAME, is how it is now; what is older than what is known is passed over. Its AAP; NULL: one that is not known
 * here, or memory is short.
 */
struct fleet_aap *fleet_aap_note(struct fleet *fleet, const struct fleet_entry *entry, struct fleet_name *name);

/* AAP is reconciled at WHEN_MS, or before. */
void fleet_aap_due(struct fleet *fleet, struct fleet_aap *aap, int64_t when_ms);
