/*
 * Lines for the person who runs aapfs: to stderr, in the background to syslog. Any thread but
 * the session's, which must not block on a log. Nothing secret goes in.
 */
#pragma once

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

enum log_level { LEVEL_ERROR = 3, LEVEL_WARNING = 4, LEVEL_NOTICE = 5 }; /* syslog(3)'s numbers */

/* "aapfs: what: why". Returns RESULT. */
int log_line(enum log_level level, int result, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * An error: something does not work, and somebody is needed. A warning: it works, or is tried again, and somebody should
 * look. A notice: what was done, and what is yet far off. A failure is an error that ends the caller, with RESULT.
 */
#define log_error(...) ((void)log_line(LEVEL_ERROR, 0, __VA_ARGS__))
#define log_warning(...) ((void)log_line(LEVEL_WARNING, 0, __VA_ARGS__))
#define log_notice(...) ((void)log_line(LEVEL_NOTICE, 0, __VA_ARGS__))
#define log_failure(result, ...) log_line(LEVEL_ERROR, result, __VA_ARGS__)
