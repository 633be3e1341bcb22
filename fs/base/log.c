#include "fs/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 1024 };

static bool syslog_is_open;
static enum { FOR_A_PERSON, WITH_TIME, FOR_THE_JOURNAL } form;
static atomic_uint missing; /* lines for which there was no room */

void log_to_syslog_too(void)
{
    openlog("aapfs", LOG_PID, LOG_DAEMON);
    syslog_is_open = true;
}

/* Source: systemd.exec(5), $JOURNAL_STREAM. */
static bool is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat attributes;
    return text && sscanf(text, "%ju:%ju", &device, &inode) == 2 && fstat(STDERR_FILENO, &attributes) == 0 &&
           attributes.st_dev == device && attributes.st_ino == inode;
}

void log_as_daemon(void)
{
    form = is_journal() ? FOR_THE_JOURNAL : WITH_TIME;
}

void log_after_fork(void)
{
    if (!syslog_is_open)
        return;
    closelog();
    log_to_syslog_too();
}

/* What stands before a line. Source of "<N>": sd-daemon(3). */
static void write_head(enum log_level level, char head[static 64])
{
    time_t now = time(NULL);
    struct tm parts;
    size_t size = 0;
    if (form == FOR_THE_JOURNAL)
        snprintf(head, 64, "<%d>", (int)level);
    else if (form == WITH_TIME && gmtime_r(&now, &parts))
        size = strftime(head, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (size > 0)
        snprintf(head + size, 64 - size, " %s ",
                 level == LEVEL_ERROR ? "error" : level == LEVEL_WARNING ? "warning" : "notice");
}

/* Who reads a daemon's log may stand still, and no key waits for that. */
static bool has_room(void)
{
    struct pollfd polled = {.fd = STDERR_FILENO, .events = POLLOUT};
    return form == FOR_A_PERSON || poll(&polled, 1, 0) != 0;
}

/* By one write(2), which no other process's lines get into; glibc 2.37 and later cut what they print to stderr into pieces. */
static void print_line(enum log_level level, const char *line)
{
    char head[64] = "", text[LINE_SIZE + 128];
    write_head(level, head);
    int length = snprintf(text, sizeof(text), "%saapfs: %s\n", head, line);
    while (write(STDERR_FILENO, text, (size_t)length) < 0 && errno == EINTR)
        ;
}

int log_line(enum log_level level, int result, const char *format, ...)
{
    char line[LINE_SIZE], gap[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (syslog_is_open)
        syslog((int)level, "%s", line);
    if (!has_room()) {
        missing++;
        return result;
    }
    unsigned int count = atomic_exchange(&missing, 0);
    snprintf(gap, sizeof(gap), "%u lines were not logged: the log was full", count);
    if (count > 0)
        print_line(LEVEL_WARNING, gap);
    print_line(level, line);
    return result;
}
