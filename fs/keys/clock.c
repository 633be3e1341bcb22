#include "fs/keys/clock.h"

#include <time.h>

void clock_observe(struct kms_clock *clock, int64_t server_date, int64_t sent_ms,
                   int64_t received_ms)
{
    if (server_date <= 0 || received_ms < sent_ms)
        return;
    int64_t lowest = server_date * 1000 - received_ms;
    int64_t highest = server_date * 1000 + 999 - sent_ms;
    if (clock->offset_ms < lowest)
        clock->offset_ms = lowest;
    else if (clock->offset_ms > highest)
        clock->offset_ms = highest;
}

static int64_t read_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_local_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

int64_t clock_local_ms(void)
{
    return clock_local_ns() / 1000000;
}

int64_t clock_monotonic_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t clock_boottime_ms(void)
{
    return read_ns(CLOCK_BOOTTIME) / 1000000;
}

int64_t clock_kms_time(const struct kms_clock *clock, int64_t local_ms)
{
    return (local_ms + clock->offset_ms) / 1000;
}
