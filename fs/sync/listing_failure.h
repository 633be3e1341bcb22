/* A listing of an AAP's keys that failed: what is said of it, and when it is asked for again. The engine's thread. */
#pragma once

#include <stdint.h>

#include "kmsapi/kms_error.h"

struct engine;

/* In the AAP's last_error, if nothing that somebody wrote has failed; ERROR number 0: all is well again. */
void listing_failure_note(struct engine *engine, uint32_t aap, const struct kms_error *error);

/*
 * KMS forbids the listing that was asked for at ASKED_MS: what it would have told of creations whose ends are not known stays
 * unknown, which is said once.
 */
void listing_failure_forbidden(struct engine *engine, uint32_t aap, int64_t asked_ms, const struct kms_error *error);

/* How long to wait after so many FAILURES before it: not longer than a due rotation may, which waits for what it says. */
int64_t listing_failure_wait_ms(struct engine *engine, uint32_t aap, unsigned int failures);
