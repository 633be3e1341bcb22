/*
 * An upgrade: the installed program takes over a mount that this one serves, in steps that can be taken back until
 * the new worker serves.
 *
 *     the new program is started as a worker that stands by; it says that it could serve this mount
 *     the old worker finishes what is under way, begins nothing new, and ends
 *     the new worker takes over
 *     this process replaces itself by the new program, with the same process id
 *
 * Readers wait for the moment between two workers, as when one was killed. The write that asked for it is answered
 * at the end, by the new worker, or by the old one when it came to nothing. The supervisor's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/mount/worker_link.h"

struct supervisor;

/* A message from the worker, of those that concern an upgrade. May not return: this process is another then. */
void upgrade_take_message(struct supervisor *supervisor, const struct worker_message *message);

/* The worker has ended: true when that was a step of the upgrade, and the standby is the worker now. */
bool upgrade_worker_ended(struct supervisor *supervisor, int status);
void upgrade_standby_ended(struct supervisor *supervisor, int status);

/* Reads what the standby says, and gives up what takes too long. */
void upgrade_tend(struct supervisor *supervisor);

/* When to call upgrade_tend at the latest; INT64_MAX: no upgrade is under way. */
int64_t upgrade_until_ms(const struct supervisor *supervisor);

/* The mount ends: so does the standby. */
void upgrade_abandon(struct supervisor *supervisor);
