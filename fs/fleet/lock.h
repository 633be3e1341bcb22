/*
 * One host of a fleet at a time makes and deletes client keys of an AAP: who has PREFIX/locks/AAP, which is bound to a lease
 * and so goes with its holder. Operations of one host share it: they know of each other anyway. KMS knows nothing of it, so
 * whoever has it still looks right before a request whether it holds for that long. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/etcd/fleet_store.h"

struct fleet;
struct fleet_lock;
struct operation;

/*
 * Goes on with THEN when this host has the lock of the operation's AAP, which then stays until the operation ends. Else the
 * operation ends: another host has it, or the store cannot be asked. Without a fleet at once.
 */
void lock_take(struct operation *operation, void (*then)(struct operation *operation));

/* Whether the operation has the lock, and will have it for longer than MS. Without a fleet it does not need one. */
bool lock_holds(const struct operation *operation, unsigned int ms);

/* What holds as long as this host has the operation's lock. */
void lock_compare(const struct operation *operation, struct fleet_compare *compare);

/*
 * OPERATION ends. Where a key came of which the fleet is still to be told (fleet_aap.intent), the lock stays until it was told,
 * or as long as its lease does: others would make another one.
 */
void lock_leave(struct operation *operation);

/* It stays at least until lock_release, which is called once. LOCK may be NULL. */
struct fleet_lock *lock_hold(struct fleet_lock *lock);
void lock_release(struct fleet_lock *lock);

/* KEPT is freed with the operation's lock, unless it is taken back before: another one, or NULL, is kept. */
void lock_keep(const struct operation *operation, void *kept, void (*free_kept)(void *kept));

/* Where the name of the operation's intent is kept, from when it stands in the fleet; it goes with the lock. NULL: it has none. */
char **lock_intent(const struct operation *operation);

/*
 * Another host is at it, or was: an operation that nobody asked for ends without a word, as if it had not begun; else it is
 * refused with EBUSY and why (printf-like).
 */
void lock_yield(struct operation *operation, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The fleet's store cannot be asked, or refuses: the operation fails with that. Nothing was sent to KMS. */
void lock_fail(struct operation *operation, const struct fleet_error *error);

/* In each turn, and when to do that again, CLOCK_MONOTONIC. */
void locks_tend(struct fleet *fleet);
int64_t locks_next_ms(const struct fleet *fleet);

/* The store goes: nobody is told any more. */
void locks_end(struct fleet *fleet);
