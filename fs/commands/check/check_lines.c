#include "fs/commands/check/check_lines.h"

#include <stdarg.h>
#include <stdio.h>

/* Nothing that a terminal would obey: neither C0 nor, in UTF-8, C1. */
static void make_harmless(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c < ' ' || *c == 0x7f)
            *c = '?';
        else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
            c[0] = c[1] = '?';
    }
}

static void __attribute__((format(printf, 5, 0)))
put(const struct check *check, const char *kind, const char *colour, const char *subject, const char *format,
    va_list arguments)
{
    char text[2048];
    vsnprintf(text, sizeof(text), format, arguments);
    make_harmless(text);
    printf("%s%-7s%s  %s: %s\n", check->colours ? colour : "", kind, check->colours ? "\033[0m" : "", subject, text);
    fflush(stdout); /* the next look may take its time */
}

void check_ok(struct check *check, const char *subject, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put(check, "ok", "\033[32m", subject, format, arguments);
    va_end(arguments);
}

void check_warning(struct check *check, const char *subject, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put(check, "warning", "\033[33m", subject, format, arguments);
    va_end(arguments);
}

void check_error(struct check *check, const char *subject, const char *format, ...)
{
    va_list arguments;
    check->errors++;
    va_start(arguments, format);
    put(check, "error", "\033[31m", subject, format, arguments);
    va_end(arguments);
}
