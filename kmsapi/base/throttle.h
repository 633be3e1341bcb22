/*
 * How fast requests may go to an endpoint that refused some for their rate: one bucket for all of them, since KMS counts
 * an account's requests and not a program's reasons. Nothing is held back until KMS refuses one; from then on requests
 * go one by one, at an interval that doubles while it refuses and is halved by each one that it answers. Where it said how
 * long to wait (x-acs-retry-after) nothing goes before, but for at most ten seconds: one answer must not stop everything.
 * Pure; the transport's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct throttle { /* zeroed: nothing is held back */
    int64_t interval_ms;
    int64_t next_ms;   /* CLOCK_MONOTONIC: when the next request may go */
    int64_t slowed_ms; /* when the interval grew last */
    int64_t asked_ms;  /* KMS asked to send nothing before */
};

/* Whether nothing is held back. */
bool throttle_is_open(const struct throttle *throttle, int64_t now_ms);

/* When a request may go: NOW_MS, or later. */
int64_t throttle_next_ms(const struct throttle *throttle, int64_t now_ms);

/* One goes. */
void throttle_take(struct throttle *throttle, int64_t now_ms);

/*
 * KMS refused one that went at SENT_MS, and asked to wait for WAIT_MS (0: it did not). Those that were under way together
 * slow the pace once.
 */
void throttle_refused(struct throttle *throttle, int64_t sent_ms, int64_t wait_ms, int64_t now_ms);

/* KMS answered one. */
void throttle_answered(struct throttle *throttle);
