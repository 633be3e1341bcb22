/*
 * Lines about opens on their way to the log: taken from the session, which never waits, and written by a thread of
 * their own, which may. What does not fit meanwhile is counted, and the count is logged when there is room again.
 */
#ifndef AAPFS_FS_MOUNT_AUDIT_LOG_H
#define AAPFS_FS_MOUNT_AUDIT_LOG_H

#include <stdbool.h>

#include "fs/tree/audit.h"

struct audit_log;

/* Starts the thread. NULL when that cannot be. */
struct audit_log *audit_log_start(void);

/* The session's thread: never waits. False: there is no room. */
bool audit_log_add(struct audit_log *log, const struct audit_open *opened);

/* Ends the thread. What the log takes at once is still written. NULL is allowed. */
void audit_log_stop(struct audit_log *log);

#endif
