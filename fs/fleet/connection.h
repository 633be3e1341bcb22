/*
 * From nothing to being told of every change in the fleet, and back after a cut: the check of the fleet key, the listing of
 * what there is, the watch. The engine's thread.
 */
#pragma once

#include <stdint.h>

struct fleet;

/* Begins what is next. When to call it again, CLOCK_MONOTONIC, if nothing else happens. */
int64_t connection_tend(struct fleet *fleet);
