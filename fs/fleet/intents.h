/*
 * What hosts of a fleet have asked KMS for: an intent (store_intent.h) stands in the fleet, too, from before its request is
 * sent until its key is there, or KMS made none. Whoever has the lock finds those that others left, and what is newer than
 * what he knows. One whose key is lost stays, as on the disk: by it each host knows the Orphan. The engine's thread.
 */
#pragma once

#include <stdbool.h>

#include "fs/fleet/records.h"

struct engine;
struct operation;

/* One that stands in the fleet. */
struct fleet_intent {
    char name[FLEET_KEY_SIZE];
    char host[FLEET_ID_SIZE];
    struct record record; /* as store_load.h has it: a record without a key */
    struct fleet_intent *next;
};

/* What the lock's holder finds. */
struct fleet_seen {
    bool is_behind; /* a newer key is on its way here */
    struct fleet_intent *intents;
};

/* With the lock: goes on with THEN and what there is, which lasts until it returns; else the operation ends. */
void intents_read(struct operation *operation, void (*then)(struct operation *operation, const struct fleet_seen *seen));

/*
 * With the lock and its intent on the disk: goes on with THEN when the intent is in the fleet; NULL. Else ERROR, and nothing
 * may be sent. Without a fleet at once.
 */
void intents_put(struct operation *operation, void (*then)(struct operation *operation, const struct fleet_error *error));

/* Whether a key came of an earlier one of the operation's AAP, and the fleet is still to be told of it. */
bool intents_is_owed(const struct operation *operation);

/* The operation's key has come, and is the current one here: its intent goes with the commit that tells the fleet of it. */
void intents_keep(struct operation *operation);

/* Nothing came of the operation's intent, or what came is no other host's matter: it goes. */
void intents_drop(struct operation *operation);

/* What came of it is not known: it stays. Its name (free it); NULL: there is none. */
char *intents_leave(struct operation *operation);

/* One of any host goes: what came of it is known. */
void intents_remove(struct engine *engine, const char *name);
