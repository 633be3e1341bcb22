/*
 * KMS's time: the local clock plus an offset that its answers' Date headers teach. Pure but for
 * clock_local_* and the like; the engine's thread writes, readers take the offset from the registry.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct kms_clock {
    int64_t offset_ms; /* KMS's time minus ours */
    bool observed;     /* an answer has taught it */
    bool followed;
    int64_t step_ms;   /* the local clock minus the time since the boot, when it was last looked at */
    int64_t doubted_ms; /* CLOCK_BOOTTIME when an answer told a time far from the one believed; 0: all agree */
    int64_t other_ms;  /* the offset by that answer */
};

/*
 * Learns from an answer: its Date header (whole seconds since 1970, 0: none) was written at some
 * moment between SENT_MS and RECEIVED_MS of the local clock; BOOT_MS: now. The offset moves only as far as the
 * header proves it wrong. A Date more than five minutes off is believed at once when it is the first that comes, and
 * else when answers still say the same a minute later: one wrong answer must not let keys be replaced or deleted.
 */
void clock_observe(struct kms_clock *clock, int64_t server_date, int64_t sent_ms, int64_t received_ms, int64_t boot_ms);

/* Whether KMS's time is known well enough for what is done by itself. */
bool clock_is_sure(const struct kms_clock *clock);

/* The time before which nothing is to begin that is to hold at KMS now: where two are in question, the earlier. */
int64_t clock_earliest(const struct kms_clock *clock, int64_t kms_time);

/* When, by CLOCK_BOOTTIME, an answer would settle a doubt; 0: there is none. */
int64_t clock_settles_ms(const struct kms_clock *clock);

/*
 * The local clock was set meanwhile: KMS's was not. LOCAL_MS and BOOT_MS (clock_boottime_ms): now. Whether the offset has
 * moved. Before every observation, and once in a while.
 */
bool clock_follow(struct kms_clock *clock, int64_t local_ms, int64_t boot_ms);

/* CLOCK_REALTIME in milliseconds since 1970, and nanoseconds. */
int64_t clock_local_ms(void);
int64_t clock_local_ns(void);

/* CLOCK_MONOTONIC in milliseconds, for guards and deadlines. */
int64_t clock_monotonic_ms(void);

/* CLOCK_BOOTTIME in milliseconds: goes on while the machine sleeps. */
int64_t clock_boottime_ms(void);

/* KMS's time at LOCAL_MS, in seconds since 1970. BOOT_MS: clock_boottime_ms then; a step of the local clock does not count. */
int64_t clock_kms_time(const struct kms_clock *clock, int64_t local_ms, int64_t boot_ms);
