/*
 * Applications load a key once, when they start: a superseded one counts as in use until they were told of the current
 * one. Up to which key they were told stands beside the AAP's records, and so do how the last on_rotate ended, which
 * Scheduled key has begun, and what KMS said that it does not have: a Scheduled key that is lost there must not begin,
 * whoever asks KMS next and whenever that answers. A note that is missing or damaged: nobody was told, the clock says what
 * has begun, and KMS has everything. The engine's thread.
 */
#pragma once

#include <stdint.h>

struct engine;
struct registry_aap;
struct registry_key;

/* At the start, with the registry's lock: what the store says of AAP. */
void notified_load(struct engine *engine, struct registry_aap *aap);

/* After its current key is known: whether on_rotate is still to run. With the registry's lock. */
void notified_owe(struct engine *engine, const struct registry_aap *aap);

/* Up to which key the applications were told, and what is in use; the note of that in the store. As upkeep.h says of looks. */
int64_t notified_look(struct engine *engine, uint32_t aap);

/* The applications have this key (NULL: the current one). */
void notified_set(struct engine *engine, uint32_t aap, const char *client_key_id);

/* What stands in the note has changed: it is written soon; now. */
void notified_changed(struct engine *engine, uint32_t aap);
void notified_note(struct engine *engine, uint32_t aap);

/* The superseded key that applications may still use, the first of them to end; NULL. With the registry's lock. */
const struct registry_key *notified_in_use(const struct registry_aap *aap, int64_t now);
