#include "fs/base/reason.h"

#include <stdarg.h>
#include <stdio.h>

int reason_give(char *reason, size_t size, int result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, size, format, arguments);
    va_end(arguments);
    return result;
}
