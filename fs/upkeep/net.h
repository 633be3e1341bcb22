/*
 * A net below the queue: every AAP is looked at once a minute, some at a time, whatever the queue says. What that finds is
 * a fault of aapfs, which somebody has not told engine_wake of: it is said, once. The engine's thread.
 */
#pragma once

#include <stdint.h>

struct engine;
struct net;

/* NULL: memory is short. Freed with free(). */
struct net *net_new(void);

/*
 * Looks, with LOOK, at those whose turn it is; what the queue says is due was looked at. How long until the next ones, in
 * milliseconds.
 */
int64_t net_tend(struct engine *engine, struct net *net, void (*look)(struct engine *engine, uint32_t aap));
