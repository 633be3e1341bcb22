/*
 * Who makes a key: in a fleet one host at a time, the others make way for it. KMS gives an AAP few keys and knows nothing of
 * the fleet: what another host has asked for is settled first. The engine's thread.
 */
#pragma once

struct engine;
struct operation;

/*
 * Goes on with THEN when this host may make a key of the operation's AAP: it has the lock, the fleet has no newer key, and of
 * what others have asked for is known what came. Else the operation ends, a rotation that nobody asked for without a word.
 */
void creator_require(struct operation *operation, void (*then)(struct operation *operation));

/* How long KMS's answer is waited for when nobody else waits any more, in milliseconds. */
unsigned int creator_park_ms(const struct engine *engine);
