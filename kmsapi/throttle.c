#include "kmsapi/throttle.h"

enum { FIRST_MS = 50, MOST_MS = 2000 };

int64_t throttle_next_ms(const struct throttle *throttle, int64_t now_ms)
{
    return throttle->interval_ms && throttle->next_ms > now_ms ? throttle->next_ms : now_ms;
}

void throttle_take(struct throttle *throttle, int64_t now_ms)
{
    throttle->next_ms = now_ms + throttle->interval_ms;
}

void throttle_refused(struct throttle *throttle, int64_t sent_ms, int64_t now_ms)
{
    if (throttle->interval_ms && sent_ms <= throttle->slowed_ms)
        return;
    throttle->interval_ms = throttle->interval_ms ? throttle->interval_ms * 2 : FIRST_MS;
    if (throttle->interval_ms > MOST_MS)
        throttle->interval_ms = MOST_MS;
    throttle->slowed_ms = now_ms;
    throttle->next_ms = now_ms + throttle->interval_ms;
}

void throttle_answered(struct throttle *throttle)
{
    throttle->interval_ms /= 2;
    if (throttle->interval_ms < FIRST_MS / 2)
        throttle->interval_ms = 0;
}
