/*
 * A client key of the fleet's comes to this host, or goes, because another one has deleted it: saved, judged and shown as one
 * that was made here. A command of its own of its AAP, which nobody writes. The engine's thread.
 */
#pragma once

#include <stdint.h>

#include "fs/store/record.h"

struct engine;

/*
 * RECORD, of AAP, is saved here with a number of its own, and shown from then on: as the current one if it is that. Nothing of
 * AAP may be under way. 0; -EKEYREJECTED: it cannot be used; -EBUSY: not now; -EEXIST and -EINVAL, -EMSGSIZE: there is, or
 * can be, no file of that name or size; any other errno of the disk.
 */
int shared_key_came(struct engine *engine, uint32_t aap, struct record *record);

/* Another host has deleted this key, which is superseded here: it goes. 0, or negative errno: not now. */
int shared_key_gone(struct engine *engine, uint32_t aap, const char *client_key_id);
