/*
 * Which validity a new client key gets. CreateClientKey has no idempotency token; two dates that are
 * random to the second serve as one: a listed key with exactly these two is ours. Pure, any thread.
 */
#ifndef AAPFS_FS_KEYS_VALIDITY_H
#define AAPFS_FS_KEYS_VALIDITY_H

#include <stdint.h>

struct validity {
    int64_t not_before, not_after; /* seconds since 1970 */
};

/*
 * NotBefore: NOW minus 60 to 3,660 s. NotAfter: NotBefore plus VALIDITY_SECONDS minus 0 to 86,399 s.
 * Below 30 days both spans are at most a hundredth of the validity. RANDOM: two random numbers.
 */
struct validity validity_choose(int64_t now, int64_t validity_seconds, const uint32_t random[2]);

#endif
