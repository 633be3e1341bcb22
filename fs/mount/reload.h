/*
 * A reload: the supervisor reads the configuration as at its start, checks it, and gives its text to the worker; every
 * later worker is forked with it. A wrong one changes nothing. The supervisor's thread.
 */
#ifndef AAPFS_FS_MOUNT_RELOAD_H
#define AAPFS_FS_MOUNT_RELOAD_H

#include <stdbool.h>

#include "fs/mount/worker_link.h"

struct supervisor;

/* SIGHUP. */
void reload_take_signal(struct supervisor *supervisor);

/* A message from the worker, of those that concern a reload. */
void reload_take_message(struct supervisor *supervisor, const struct worker_message *message);

/* The worker has ended: the next one has the configuration from its beginning. */
void reload_worker_ended(struct supervisor *supervisor);

/* Begins what a signal asked for while something else was under way. */
void reload_tend(struct supervisor *supervisor);

void reload_end(struct supervisor *supervisor);

#endif
