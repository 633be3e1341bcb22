/*
 * The pauses between tries of a fetch that failed in passing. Blocks; the source's thread.
 */
#ifndef AAPFS_KMSAPI_AGAIN_H
#define AAPFS_KMSAPI_AGAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "kmsapi/credentials/provider.h"

/* Of one fetch. */
struct again {
    int64_t began_ms; /* CLOCK_MONOTONIC */
    unsigned int count;
};

struct again again_begin(void);

/*
 * True, after a pause, where another try is worth while: at most three, none of them begun so late
 * that whoever waits for the credentials has given up. False at once where nobody waits any more.
 */
bool again_after_pause(struct again *again, const struct fetching *fetching);

#endif
