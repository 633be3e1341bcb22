/*
 * What this host shares with the others of its fleet ([fleet] in the configuration): the client keys of its AAPs, through a
 * store (etcd/fleet_store.h). The fleet's keys of an AAP are a set that grows; which of them is the current one is a rule
 * that is the same on every host (schedule_current), so each of them gets there in whatever order keys arrive, and none
 * goes back. Serving never waits for the store. The engine's thread.
 */
#pragma once

#include <stdint.h>

#include "fs/store/seal.h"

struct engine;
struct fleet_store;

/*
 * At the engine's start: engine->fleet, where the configuration has a [fleet]. 0, or a negative errno after a line. Nothing
 * is sent yet.
 */
int fleet_start(struct engine *engine);

/* The same with a STORE, which is taken over whatever happens, in the place of etcd, and a KEY: for tests. */
int fleet_start_with(struct engine *engine, struct fleet_store *store, const unsigned char key[static SEAL_KEY_SIZE]);

/* Does what is to be done. */
void fleet_turn(struct engine *engine);

/* When to do that again, CLOCK_MONOTONIC, as it is known now. Without a fleet INT64_MAX. */
int64_t fleet_next_ms(const struct engine *engine);

/* Readable: there is something to do. -1: there is no fleet. */
int fleet_watched(const struct engine *engine);

/* Something of AAP has changed here: it is reconciled in the next turn. */
void fleet_look(struct engine *engine, uint32_t aap);

void fleet_stop(struct engine *engine);
