/*
 * Which validity a new client key gets. CreateClientKey has no idempotency token; two dates that are
 * random to the second serve as one: a listed key with exactly these two is ours. Pure, any thread.
 */
#pragma once

#include <stdint.h>

/* What is asked for: calendar years, or seconds where YEARS is 0. */
struct validity_length {
    unsigned int years;
    int64_t seconds;
};

struct validity {
    int64_t not_before, not_after; /* seconds since 1970 */
};

/*
 * NotBefore: NOW minus 60 to 3,660 s. NotAfter: NOW plus LENGTH plus 60 to 86,399 s: KMS documents one to five years, and
 * less than was asked for, when the request comes there, might be less than one. From five years on it is less by as much,
 * and where five were asked for no more than five after NotBefore. Below 30 days both spans are at most a hundredth of the
 * validity, and may be 0. RANDOM: two random numbers.
 */
struct validity validity_choose(int64_t now, const struct validity_length *length, const uint32_t random[2]);
