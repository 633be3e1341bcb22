/*
 * Lines for the person who runs aapfs: to stderr in the foreground, else to syslog. Any thread but
 * the session's, which must not block on a log. Nothing secret goes in.
 */
#ifndef AAPFS_FS_LOG_H
#define AAPFS_FS_LOG_H

#include <stdbool.h>

/* From the next line on: to syslog instead of stderr. */
void log_to_syslog(void);

/* "aapfs: what: why" */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
