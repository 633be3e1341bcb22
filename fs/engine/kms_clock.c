#include "fs/engine/kms_clock.h"

#include <time.h>

enum {
    STEP_MS = 500, /* less is no step: both clocks are read one after the other */
    FAR_MS = 5 * 60 * 1000,
    DAY_MS = 24 * 3600 * 1000,
#ifdef AAPFS_WITH_STOPS
    SETTLE_MS = 1000,
#else
    SETTLE_MS = 60 * 1000,
#endif
};

static const int64_t LAST_DATE = INT64_C(253402300799); /* of the year 9999 */

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

/* OFFSET_MS, or the nearest to it that the bounds allow. */
static int64_t nearest(int64_t offset_ms, int64_t lowest_ms, int64_t highest_ms)
{
    return offset_ms < lowest_ms ? lowest_ms : offset_ms > highest_ms ? highest_ms : offset_ms;
}

static bool are_near(int64_t a_ms, int64_t b_ms)
{
    return a_ms - b_ms <= FAR_MS && b_ms - a_ms <= FAR_MS;
}

static void believe(struct kms_clock *clock, int64_t offset_ms)
{
    clock->offset_ms = offset_ms;
    clock->doubted_ms = 0;
}

static void doubt(struct kms_clock *clock, int64_t other_ms, int64_t boot_ms)
{
    clock->doubted_ms = boot_ms > 0 ? boot_ms : 1;
    clock->other_ms = other_ms;
}

/* What is believed is the first answer's time, which no other has told yet. */
static bool is_first_doubted(const struct kms_clock *clock)
{
    return clock->doubted_ms && clock->other_ms == clock->offset_ms;
}

void clock_observe(struct kms_clock *clock, int64_t server_date, int64_t sent_ms, int64_t received_ms, int64_t boot_ms)
{
    if (server_date <= 0 || server_date > LAST_DATE || received_ms < sent_ms)
        return;
    int64_t shifted_ms = shift_ms(); /* the transport's clock is the machine's */
    int64_t lowest_ms = server_date * 1000 - received_ms - shifted_ms;
    int64_t highest_ms = server_date * 1000 + 999 - sent_ms - shifted_ms;
    int64_t told_ms = nearest(clock->offset_ms, lowest_ms, highest_ms);
    bool first = !clock->observed;
    clock->observed = true;
    if (first) {
        /* far from the local clock, it is all that is known, but is to be told again */
        if (!are_near(told_ms, 0))
            doubt(clock, told_ms, boot_ms);
        clock->offset_ms = told_ms;
    } else if (clock->doubted_ms && are_near(nearest(clock->other_ms, lowest_ms, highest_ms), clock->other_ms)) {
        if (boot_ms - clock->doubted_ms >= SETTLE_MS)
            believe(clock, nearest(clock->other_ms, lowest_ms, highest_ms));
    } else if (are_near(told_ms, clock->offset_ms) || (is_first_doubted(clock) && are_near(told_ms, 0))) {
        believe(clock, told_ms);
    } else {
        doubt(clock, told_ms, boot_ms);
    }
}

bool clock_is_sure(const struct kms_clock *clock)
{
    return clock->observed && clock->doubted_ms == 0;
}

int64_t clock_earliest(const struct kms_clock *clock, int64_t kms_time)
{
    int64_t back_ms = clock->doubted_ms ? clock->offset_ms - clock->other_ms : 0;
    return back_ms > 0 && back_ms <= DAY_MS ? kms_time - back_ms / 1000 - 1 : kms_time;
}

int64_t clock_settles_ms(const struct kms_clock *clock)
{
    return clock->doubted_ms ? clock->doubted_ms + SETTLE_MS : 0;
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
    if (clock->observed) {
        clock->offset_ms -= moved_ms;
        clock->other_ms -= moved_ms;
    }
    return clock->observed && moved_ms;
}

int64_t clock_kms_time(const struct kms_clock *clock, int64_t local_ms, int64_t boot_ms)
{
    struct kms_clock now = *clock;
    clock_follow(&now, local_ms, boot_ms);
    return (local_ms + now.offset_ms) / 1000;
}
