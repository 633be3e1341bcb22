#include "kmsapi/base/throttle.h"

enum { FIRST_MS = 50, MOST_MS = 2000, WAIT_MOST_MS = 10 * 1000 };

bool throttle_is_open(const struct throttle *throttle, int64_t now_ms)
{
    return throttle->interval_ms == 0 && throttle->asked_ms <= now_ms;
}

int64_t throttle_next_ms(const struct throttle *throttle, int64_t now_ms)
{
    int64_t next_ms = throttle->asked_ms > now_ms ? throttle->asked_ms : now_ms;
    return throttle->interval_ms && throttle->next_ms > next_ms ? throttle->next_ms : next_ms;
}

void throttle_take(struct throttle *throttle, int64_t now_ms)
{
    throttle->next_ms = now_ms + throttle->interval_ms;
}

void throttle_refused(struct throttle *throttle, int64_t sent_ms, int64_t wait_ms, int64_t now_ms)
{
    int64_t asked_ms = now_ms + (wait_ms < WAIT_MOST_MS ? wait_ms : WAIT_MOST_MS);
    if (wait_ms > 0 && asked_ms > throttle->asked_ms)
        throttle->asked_ms = asked_ms;
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
