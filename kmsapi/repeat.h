/*
 * Whether a request is sent again after an attempt that failed, and when. Never a creation that KMS may have done. The
 * transport's own, on its thread.
 */
#pragma once

#include "kmsapi/transfer.h"

/* Whether it may: after an attempt that was ANSWERED, with an error; or was not, and MAYBE_SENT. */
bool repeat_is_safe(const struct route *route, const struct transfer *transfer, bool answered, bool maybe_sent);

/* Whether other credentials may do, for KMS refused these: a session that ended early, or a key that was replaced. */
bool repeat_signed_anew(const struct route *route, struct transfer *transfer);

/* How long to wait before: a random time that is longer with each attempt, and at least what the answer asked for. */
int64_t repeat_wait_ms(const struct transfer *transfer);

/* What the answer asks to wait for; 0: it does not. */
int64_t repeat_asked_ms(const struct transfer *transfer);

/* Our clock was wrong, nothing was done, and the answer told the right time. */
bool repeat_learned_the_time(const struct route *route, const struct transfer *transfer);
