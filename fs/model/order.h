/*
 * Which of two keys of an AAP is the later one: the same on every host, whatever came there first. Pure; with the registry's
 * lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/model/registry.h"

/* When KEY was made, or, of a Scheduled one, began. */
int64_t order_made_ns(const struct registry_key *key);

/* Of the same time the greater id is the later one. */
bool order_is_greater(int64_t made_ns, const char *client_key_id, int64_t than_made_ns, const char *than_id);
