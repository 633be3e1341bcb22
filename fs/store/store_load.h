/*
 * What stands in a store: all of it at a start, or an AAP's keys beside a mount. The engine's thread, or another process.
 */
#pragma once

#include "fs/store/store.h"

/*
 * What stands in the store. ERROR 0: RECORD is a key, or with an empty client_key_id an intent: one that was left,
 * or whose record was saved when its worker died (store_finish it).
 * Else RECORD is NULL, and PATH (below the directory) could not be read or opened; it stays where it is.
 */
typedef void store_found(void *user, const struct record *record, const char *path, int error);

/* What such an ERROR means, for a line to a person. */
const char *store_error_text(int error);

/* Calls FOUND for everything, keys before intents. 0, or the errno with which the directory itself cannot be listed. */
int store_load(struct store *store, store_found *found, void *user);

/*
 * Calls FOUND for the keys of one AAP, those that were received and not put in their place yet too. Changes nothing,
 * and bears a mount that uses the store meanwhile. 0, or an errno of the disk: what can be read was told.
 */
int store_look(struct store *store, const char *aap_name, store_found *found, void *user);

/* Calls TOLD for the name of each AAP with a file in it, in their order. 0 or negative errno. */
int store_aaps(struct store *store, void (*told)(void *user, const char *aap_name), void *user);
