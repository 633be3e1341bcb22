/*
 * What comes from the fleet: keys that are not here, and that one was deleted. The engine's thread.
 */
#pragma once

#include <stdbool.h>

#include "fs/fleet/fleet_parts.h"
#include "fs/model/registry.h"

/* Begins to read what `current` says. False: the store was not asked. */
bool fetch_current(struct fleet *fleet, struct fleet_aap *aap);

/* Begins to read the record of a key that is not here, or the tombstone of one that is. False: there is none. */
bool fetch_begin(struct fleet *fleet, struct fleet_aap *aap);

/* ENTRY, of NAME in AAP, was noted, and has its value: what it tells is done at once where that can be. */
void fetch_take(struct fleet *fleet, struct fleet_aap *aap, const struct fleet_name *name, const struct fleet_entry *entry);

/* What the fleet has of AAP becomes known. False: the store was not asked. */
bool fetch_list(struct fleet *fleet, struct fleet_aap *aap);

/* Whether KEY of the fleet is still to come here. With the registry's lock. */
bool fetch_is_wanted(const struct registry_aap *here, const struct fleet_key *key);
