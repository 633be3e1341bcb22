#include "tests/unit/rig_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LOG_SIZE = 16384 };

static char lines[LOG_SIZE]; /* the newest */
static unsigned int warnings, faults;

static void log_line(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

static void log_line(const char *format, va_list arguments)
{
    char line[2048];
    vsnprintf(line, sizeof(line), format, arguments);
    fprintf(stderr, "%s\n", line);
    faults += strstr(line, "a fault of aapfs") != NULL;
    size_t length = strlen(lines), added = strlen(line) + 1;
    if (length + added >= sizeof(lines))
        length = 0;
    memcpy(lines + length, line, added - 1);
    strcpy(lines + length + added - 1, "\n");
}

void __wrap_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void __wrap_log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void __wrap_log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define LOG_IT(format)                                                                                                       \
    va_list arguments;                                                                                                       \
    va_start(arguments, format);                                                                                             \
    log_line(format, arguments);                                                                                             \
    va_end(arguments)

void __wrap_log_error(const char *format, ...)
{
    warnings++;
    LOG_IT(format);
}

void __wrap_log_warning(const char *format, ...)
{
    warnings++;
    LOG_IT(format);
}

void __wrap_log_notice(const char *format, ...)
{
    LOG_IT(format);
}

bool rig_has_logged(const char *text)
{
    return strstr(lines, text);
}

void rig_forget_log(void)
{
    lines[0] = '\0';
    warnings = faults = 0;
}

unsigned int rig_warnings(void)
{
    return warnings;
}

unsigned int rig_faults(void)
{
    return faults;
}
