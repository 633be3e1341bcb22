/*
 * How a configuration is read again, by the supervisor and by each worker: given by whoever read it at the start.
 */
#ifndef AAPFS_FS_CONFIG_CONFIGURER_H
#define AAPFS_FS_CONFIG_CONFIGURER_H

#include <stddef.h>

#include "fs/config/config.h"

/* How a configuration is read again, as it was at the start: with what the command line says in its place. */
struct configurer {
    /* From a copy of FILE's text into *CONFIG. 0, or negative errno and REASON. */
    int (*read)(const struct configurer *configurer, int copy, struct config *config, char *reason, size_t size);
    const char *file;     /* NULL: the default one, which may be absent */
    const void *words;    /* READ's */
};

#endif
