#include "fs/model/counters.h"

#include <stdio.h>
#include <string.h>

const int64_t counters_bounds_ms[COUNTERS_DURATIONS - 1] = {10,   25,   50,   100,   250,
                                                            500, 1000, 2500, 10000, 30000};

struct counters *counters_open(void *memory)
{
    struct counters *counters = memory;
    for (size_t i = 0; i < COUNTERS_REQUEST_ROWS; i++) {
        struct counted_requests *row = &counters->requests[i];
        row->operation[COUNTERS_TEXT_SIZE - 1] = row->code[COUNTERS_TEXT_SIZE - 1] = '\0';
    }
    return counters;
}

static struct counted_requests *row_of(struct counters *counters, const char *operation, const char *code)
{
    for (size_t i = 0; i < COUNTERS_REQUEST_ROWS - 1; i++) {
        struct counted_requests *row = &counters->requests[i];
        if (row->operation[0] == '\0') {
            /* the operation last: it makes a row of it, should this worker be killed here */
            snprintf(row->code, sizeof(row->code), "%s", code);
            snprintf(row->operation, sizeof(row->operation), "%s", operation);
        }
        if (strncmp(row->operation, operation, sizeof(row->operation) - 1) == 0 &&
            strncmp(row->code, code, sizeof(row->code) - 1) == 0)
            return row;
    }
    struct counted_requests *others = &counters->requests[COUNTERS_REQUEST_ROWS - 1];
    snprintf(others->operation, sizeof(others->operation), "other");
    snprintf(others->code, sizeof(others->code), "other");
    return others;
}

void counters_add_request(struct counters *counters, const char *operation, const char *code, int64_t duration_ms)
{
    if (!counters || operation[0] == '\0')
        return;
    row_of(counters, operation, code)->count++;
    if (duration_ms < 0)
        return;
    size_t i = 0;
    while (i < COUNTERS_DURATIONS - 1 && duration_ms > counters_bounds_ms[i])
        i++;
    counters->durations[i]++;
    counters->duration_ms += (uint64_t)duration_ms;
}

void counters_add_rotation(struct counters *counters, enum counted_rotation result)
{
    if (counters)
        counters->rotations[result]++;
}
