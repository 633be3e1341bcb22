/*
 * The key that everything is sealed with that hosts of a fleet share: the same on each of them. Any thread.
 */
#pragma once

#include <stddef.h>

#include "fs/config/config.h"
#include "fs/store/seal.h"

/* Where the configuration or systemd gives it; wipe it. 0, or negative errno and REASON. */
int fleet_key_read(const struct config_fleet *config, unsigned char key[static SEAL_KEY_SIZE], char *reason, size_t size);
