/*
 * What is said of the fleet's store: in the log once when it fails, or refuses, and once when that is over; in status as it
 * is. Meanwhile it is asked less and less often. The engine's thread.
 */
#pragma once

#include <stdbool.h>

#include "fs/etcd/fleet_store.h"

struct fleet;

/* A request, or the watch, has failed with ERROR: nothing new is asked for a while, and who waits is told so. */
void outage_begin(struct fleet *fleet, const struct fleet_error *error);

/* The store has answered. */
void outage_end(struct fleet *fleet);

/* Nothing is shared before somebody has mended WHY; looked at again after a while. */
void outage_refuse(struct fleet *fleet, const char *why);

/* For status: whether each change is told here. */
void outage_show(struct fleet *fleet);
