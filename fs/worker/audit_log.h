/*
 * Lines about opens on their way to the log: the session, which never waits, leaves them in the mount memory, and a
 * thread of its own, which may wait, writes them. It begins with what an earlier worker had no time to write. What had no
 * room meanwhile is counted, and the count is logged when there is room again.
 */
#pragma once

#include "fs/tree/audit.h"

struct audit_log;

/* Starts the thread, which logs what is in AUDIT. NULL when that cannot be. */
struct audit_log *audit_log_start(struct audit *audit);

/* There is something new. The session's thread: never waits. */
void audit_log_wake(struct audit_log *log);

/* Ends the thread. What the log takes at once is still written; the rest stays for another worker. NULL is allowed. */
void audit_log_stop(struct audit_log *log);
