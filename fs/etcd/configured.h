/* The store that [fleet] in the configuration names. As etcd.h. */
#pragma once

#include <stddef.h>

#include "fs/config/config.h"

struct fleet_store;

/* 0 and *STORE (fleet_free), or negative errno and REASON. Nothing is sent yet. */
int configured_store(const struct config_fleet *config, struct fleet_store **store, char *reason, size_t size);
