/*
 * What was counted since the mount was made: requests to KMS and rotations. In one flat piece of memory that is given
 * from above (the mount memory), so that the counts outlive a worker; what is found in it is checked.
 *
 * Guarded by the registry's lock: call with it held. All functions take NULL for "nobody counts".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    COUNTERS_REQUEST_ROWS = 128, /* the last one is for every operation and code beyond */
    COUNTERS_DURATIONS = 11,     /* the last one is for what took longer than every bound */
    COUNTERS_TEXT_SIZE = 64,
};

/* "" for the operation: the row is free. */
struct counted_requests {
    char operation[COUNTERS_TEXT_SIZE], code[COUNTERS_TEXT_SIZE];
    uint64_t count;
};

enum counted_rotation { ROTATION_DONE, ROTATION_FAILED, ROTATION_RESULTS };

struct counters {
    struct counted_requests requests[COUNTERS_REQUEST_ROWS];
    uint64_t durations[COUNTERS_DURATIONS]; /* requests that took as long as this bound and longer than the one before */
    uint64_t duration_ms;                   /* of all of them */
    uint64_t rotations[ROTATION_RESULTS];
};

/* The bounds of the durations but the last, in milliseconds. */
extern const int64_t counters_bounds_ms[COUNTERS_DURATIONS - 1];

/* MEMORY of sizeof(struct counters), zeroed or as an earlier worker left it. */
struct counters *counters_open(void *memory);

/* An answer of KMS, or that none came: CODE "" for success. DURATION_MS negative: not known. */
void counters_add_request(struct counters *counters, const char *operation, const char *code, int64_t duration_ms);

void counters_add_rotation(struct counters *counters, enum counted_rotation result);
