#include "fs/keys/clock.h"

#include <time.h>

enum { STEP_MS = 500 }; /* less is no step: both clocks are read one after the other */

#ifdef AAPFS_WITH_STOPS
#include <stdio.h>
#include <stdlib.h>

/* A test moves the local clock: by the milliseconds in the file that $AAPFS_CLOCK names. */
static int64_t shift_ms(void)
{
    const char *path = getenv("AAPFS_CLOCK");
    FILE *file = path ? fopen(path, "re") : NULL;
    long long shift = 0;
    if (file && fscanf(file, "%lld", &shift) != 1)
        shift = 0;
    if (file)
        fclose(file);
    return shift;
}
#else
static int64_t shift_ms(void)
{
    return 0;
}
#endif

void clock_observe(struct kms_clock *clock, int64_t server_date, int64_t sent_ms,
                   int64_t received_ms)
{
    if (server_date <= 0 || received_ms < sent_ms)
        return;
    int64_t shifted_ms = shift_ms(); /* the transport's clock is the machine's */
    sent_ms += shifted_ms;
    received_ms += shifted_ms;
    clock->observed = true;
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
    return read_ns(CLOCK_REALTIME) + shift_ms() * 1000000;
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

bool clock_follow(struct kms_clock *clock, int64_t local_ms, int64_t boot_ms)
{
    int64_t step_ms = local_ms - boot_ms, moved_ms = clock->followed ? step_ms - clock->step_ms : 0;
    if (clock->followed && moved_ms < STEP_MS && moved_ms > -STEP_MS)
        return false;
    clock->followed = true;
    clock->step_ms = step_ms;
    if (clock->observed)
        clock->offset_ms -= moved_ms;
    return clock->observed && moved_ms;
}

int64_t clock_kms_time(const struct kms_clock *clock, int64_t local_ms, int64_t boot_ms)
{
    struct kms_clock now = *clock;
    clock_follow(&now, local_ms, boot_ms);
    return (local_ms + now.offset_ms) / 1000;
}
