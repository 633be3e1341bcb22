/*
 * The rig's engine (engine_rig.h) as one host of a fleet whose store is memory (memory_store.h); the test is the others.
 */
#pragma once

#include "fs/fleet/notes.h"
#include "fs/fleet/records.h"
#include "fs/store/record.h"
#include "tests/unit/engine_rig.h"
#include "tests/unit/fleet/memory_store.h"

#define FLEET_RIG_HOST "here-1"

/* A test that begins and ends with the two below. */
#define fleet_test(test) cmocka_unit_test_setup_teardown(test, fleet_rig_make, fleet_rig_remove)

int fleet_rig_make(void **unused);
int fleet_rig_remove(void **unused);

/* An engine, with that host's part in the fleet; PAYMENTS is an AAP of KMS's. */
void fleet_rig_start(void);
void fleet_rig_stop(void);

/* It dies, with its leases; another host, with a disk of its own, starts in its place. */
void fleet_rig_become(const char *host);

/* The engine goes on until it waits for time or KMS; also with what it asks KMS for, by a KMS that is the table. */
void fleet_rig_settle(void);
void fleet_rig_serve(void);
void fleet_rig_serve_until(enum rig_operation operation);
void fleet_rig_pass(int64_t ms);

/* The store gives one answer, and the engine goes on; from here on it gives none by itself (memory.holds). */
void fleet_rig_step(void);

/* The same, or where it is asked nothing KMS gives one. False: nothing is asked. */
bool fleet_rig_go_on(void);

/* TEXT is written to PAYMENTS's control, and the engine goes on; the second succeeds. */
uint64_t fleet_rig_write(const char *text);
void fleet_rig_do(const char *text);

/* What another host has put there. */
void fleet_rig_put_lock(const char *host);
void fleet_rig_put_key(const char *client_key_id, int64_t made); /* its current key, made then, seconds since 1970 */
void fleet_rig_put_intent(uint64_t number, const char *host, const char *not_before, const char *not_after, int64_t made);
void fleet_rig_put_host(const char *host, bool reported);
void fleet_rig_put_served(const char *host, const char *client_key_id, int64_t made_ns, const char *notified);

/* What stands there. */
bool fleet_rig_read_lock(struct note_lock *note);
bool fleet_rig_read_presence(struct note_presence *note);
bool fleet_rig_read_served(struct note_served *note);
