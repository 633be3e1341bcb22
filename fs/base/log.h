/*
 * Lines for the person who runs aapfs: to stderr, in the background to syslog. Any thread but
 * the session's, which must not block on a log. Nothing secret goes in.
 */
#ifndef AAPFS_FS_BASE_LOG_H
#define AAPFS_FS_BASE_LOG_H

#include <stdbool.h>

/*
 * From the next line on: to syslog as well. stderr stays, for whoever started the daemon and still
 * waits for it; nobody reads it later.
 */
void log_to_syslog_too(void);

/*
 * From the next line on it is a daemon's log on stderr: with the time and the level, or, where stderr is the journal,
 * with the level as the journal takes it; and a line for which there is no room is left out, and counted.
 */
void log_as_daemon(void);

/* In a child, before it closes descriptors: syslog's is not its own. */
void log_after_fork(void);

/*
 * "aapfs: what: why". An error: something does not work, and somebody is needed. A warning: it works, or is tried again, and
 * somebody should look. A notice: what was done, and what is yet far off.
 */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As log_error, and RESULT: what the caller says of it to its own. */
int log_failure(int result, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
