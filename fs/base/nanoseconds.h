/*
 * Seconds since 1970 as nanoseconds, for what becomes an mtime. KMS's dates and its Date header reach to the year 9999,
 * nanoseconds in 64 bits to 2262: later ones are that. Pure, any thread.
 */
#pragma once

#include <stdint.h>

static inline int64_t nanoseconds(int64_t seconds)
{
    /* the last whole second: what comes a nanosecond later still has room */
    static const int64_t second = 1000000000, most = INT64_MAX / second;
    return (seconds > most ? most : seconds < -most ? -most : seconds) * second;
}
