/*
 * The configuration as a command line gives it: the file, and what stands in its place. The main thread.
 */
#ifndef AAPFS_FS_COMMANDS_CONFIGURE_H
#define AAPFS_FS_COMMANDS_CONFIGURE_H

#include "fs/config.h"

/* Each NULL: not given. */
struct configure_words {
    const char *file, *region, *endpoint, *state, *state_key;
};

/* Fills *CONFIG (config_clear it). 0, or negative errno after a line. */
int configure(const struct configure_words *words, struct config *config);

#endif
