#include "fs/engine/pace.h"

/* As many as a second allows may go at once; after that one at a time. */
int64_t pace_next_ms(const struct pace *pace, unsigned int per_second)
{
    return pace->spent_until_ms - 1000 + 1000 / per_second;
}

bool pace_take(struct pace *pace, unsigned int per_second, int64_t now_ms)
{
    if (now_ms < pace_next_ms(pace, per_second))
        return false;
    if (pace->spent_until_ms < now_ms)
        pace->spent_until_ms = now_ms;
    pace->spent_until_ms += 1000 / per_second;
    return true;
}
