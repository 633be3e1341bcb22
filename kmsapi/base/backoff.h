/*
 * How long what has failed waits before it is tried again. Pure, any thread.
 */
#pragma once

#include <stdint.h>

/* FIRST_MS doubled as often as it has failed in a row before, and at most LAST_MS. */
static inline int64_t backoff_ms(int64_t first_ms, int64_t last_ms, unsigned int failures)
{
    int64_t wait_ms = first_ms;
    while (failures-- > 0 && wait_ms < last_ms)
        wait_ms *= 2;
    return wait_ms < last_ms ? wait_ms : last_ms;
}
