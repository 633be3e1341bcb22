/*
 * Which key each host's readers see, and of which its applications were told: each host tells the fleet of its own AAPs
 * (PREFIX/served/AAP/HOST), and before a key is deleted in KMS it is asked who may still use it. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct fleet;
struct operation;

/* AAP may show another key than the fleet was told, or its applications may have been told of it. Without a fleet nothing. */
void served_look(struct engine *engine, uint32_t aap);

/*
 * Goes on with THEN and the first of the other hosts that are there whose readers may see an older key than the current one
 * of the operation's AAP, or whose applications may use one, which a person who asks for its end has thought of; NULL: there
 * is none. Else, where the store cannot be asked, the operation ends.
 */
void served_require(struct operation *operation, void (*then)(struct operation *operation, const char *host));

/* Whether the fleet was told of all that was looked at. */
bool served_is_told(const struct fleet *fleet);

/* In each turn, and when to do that again, CLOCK_MONOTONIC. */
void served_tend(struct fleet *fleet);
int64_t served_next_ms(const struct fleet *fleet);

/* The store goes: nobody is told any more. */
void served_end(struct fleet *fleet);
