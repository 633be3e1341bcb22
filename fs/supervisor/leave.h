/*
 * How a supervisor leaves: the mount goes, or is kept for the next one, then the worker, then what is left. The
 * supervisor's thread.
 */
#pragma once

#include <stdbool.h>

#include "fs/supervisor/supervisor_state.h"

/* Once: the mount goes, and the worker is to end. */
void supervisor_leave(struct supervisor *supervisor);

/* Leaves the mount to the service manager, and to the supervisor that it starts next: first what is under way ends. */
void supervisor_leave_it_kept(struct supervisor *supervisor);

/* The publisher goes while somebody answers what it waits for, then the worker. */
void supervisor_go_on_leaving(struct supervisor *supervisor);

/*
 * The kernel's ENODEV, which ends a worker well, tells an unmount, and an abort: whoever may mount can do that from any
 * mount namespace, by umount -f. Where that unmounts, too, it comes a moment after.
 */
bool supervisor_was_aborted(const struct mount_point *mount_point);

/* A lazily detached mount lives on in those who use it; the worker does not wait for them. */
void supervisor_hurry(struct supervisor *supervisor);

/*
 * The version before's: one without a command ends at once, another one when it has none. Killed, it would leave a
 * command without its timeout, and that would be run again beside itself.
 */
void supervisor_retire_runner(struct supervisor *supervisor);

/* By itself: it kills the programs that print credentials for nobody. */
void supervisor_end_runner(struct supervisor *supervisor);

/* When the worker has ended, or there never was one: the exit status. */
int supervisor_end_all(struct supervisor *supervisor);
