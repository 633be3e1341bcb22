#include "fs/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

static bool syslog_is_open;

void log_to_syslog_too(void)
{
    openlog("aapfs", LOG_PID, LOG_DAEMON);
    syslog_is_open = true;
}

void log_after_fork(void)
{
    if (!syslog_is_open)
        return;
    closelog();
    log_to_syslog_too();
}

static void __attribute__((format(printf, 2, 0)))
write_line(int priority, const char *format, va_list arguments)
{
    char line[1024];
    vsnprintf(line, sizeof(line), format, arguments);
    if (syslog_is_open)
        syslog(priority, "%s", line);
    fprintf(stderr, "aapfs: %s\n", line);
}

void log_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line(LOG_ERR, format, arguments);
    va_end(arguments);
}

void log_notice(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line(LOG_NOTICE, format, arguments);
    va_end(arguments);
}
