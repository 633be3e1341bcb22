#include "tests/unit/rig_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/log.h"

enum { LOG_SIZE = 16384 };

static char lines[LOG_SIZE]; /* the newest */
static unsigned int warnings, faults;

int __wrap_log_line(enum log_level level, int result, const char *format, ...) __attribute__((format(printf, 3, 4)));

int __wrap_log_line(enum log_level level, int result, const char *format, ...)
{
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s\n", line);
    warnings += level != LEVEL_NOTICE;
    faults += strstr(line, "a fault of aapfs") != NULL;
    size_t length = strlen(lines), added = strlen(line) + 1;
    if (length + added >= sizeof(lines))
        length = 0;
    memcpy(lines + length, line, added - 1);
    strcpy(lines + length + added - 1, "\n");
    return result;
}

bool rig_has_logged(const char *text)
{
    return strstr(lines, text);
}

void rig_forget_log(void)
{
    lines[0] = '\0';
    warnings = 0;
}

unsigned int rig_warnings(void)
{
    return warnings;
}

unsigned int rig_faults(void)
{
    unsigned int count = faults;
    faults = 0;
    return count;
}
