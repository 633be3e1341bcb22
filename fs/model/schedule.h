/*
 * When is what due: pure. Times are KMS's, seconds since 1970, unless they say otherwise. Any thread; with the
 * registry's lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/model/registry.h"

/* A NotBefore that the user gave and that lies further ahead is waited for. */
enum { SCHEDULE_AHEAD_SECONDS = 60 };

/* What spreads rotations: always the same for one key. */
uint32_t schedule_seed(const char *aap_name, const char *client_key_id);

/* When the current key is to be replaced at the latest by rotate_at; 0: never, or there is none. */
int64_t schedule_rotate_at(const struct registry_aap *aap);

/* When it is due: up to 6 % of its validity before that. SEED: the current key's. */
int64_t schedule_due(const struct registry_aap *aap, uint32_t seed);

/*
 * Whether KEY, made here with dates that aapfs chose, was to be replaced already when it came, or had not begun then: what
 * brought it would bring such a key again.
 */
bool schedule_is_useless(const struct registry_aap *aap, const struct registry_key *key);

/* How long to wait after that many failures in a row, in milliseconds; LEFT: seconds until the current key's NotAfter. */
int64_t schedule_retry_ms(unsigned int failures, int64_t left, uint32_t random);

/* The longest that it ever is: an hour at most, a tenth of what is left. */
int64_t schedule_retry_most_ms(int64_t left);

/* Which key is to be the current one at NOW: the newest that has begun, KMS having it then. NULL: there is no key. */
struct registry_key *schedule_current(const struct registry_aap *aap, int64_t now);

/* Whether KEY is a Scheduled one that never begins: KMS no longer has it. */
bool schedule_is_void(const struct registry_key *key);

/* Whether KEY is a Scheduled one that has not begun at NOW; one that never does, until it expires. */
bool schedule_waits(const struct registry_key *key, int64_t now);

/* When the next Scheduled key begins; 0: none does. */
int64_t schedule_next_begin(const struct registry_aap *aap, int64_t now);
