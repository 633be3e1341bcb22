/*
 * The fleet's store does not answer, or refuses: a line says so once, and another one when it is over; meanwhile it is asked
 * less and less often. The engine's thread.
 */
#pragma once

#include "fs/etcd/fleet_store.h"

struct fleet;

/* A request, or the watch, has failed with ERROR: nothing new is asked for a while, and who waits is told so. */
void outage_begin(struct fleet *fleet, const struct fleet_error *error);

/* The store has answered. */
void outage_end(struct fleet *fleet);
