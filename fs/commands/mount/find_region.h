/*
 * The region, where neither the command line nor the configuration names it. The main thread, before there is any other.
 */
#pragma once

#include "fs/config/config.h"

/*
 * Sets CONFIG's region from the environment, else from the profile, else from the ECS metadata service, which takes
 * about a second where there is none. 0 and REASON: where it was found, or negative errno and REASON: one line with what to
 * do.
 */
int find_region(struct config *config, char *reason, size_t size);
