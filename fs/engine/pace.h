/*
 * Requests to KMS that nobody waits for: at most so many a second, so that a large account's listings do not use up
 * the quota that people's writes need. Pure; the engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pace {
    int64_t spent_until_ms; /* CLOCK_MONOTONIC: the requests that were allowed take until then */
};

/* Whether a request may be sent at NOW_MS; if so it is counted. PER_SECOND of them are allowed at once. */
bool pace_take(struct pace *pace, unsigned int per_second, int64_t now_ms);

/* When the next one may be sent. */
int64_t pace_next_ms(const struct pace *pace, unsigned int per_second);
