/*
 * That this host is there: PREFIX/hosts/HOST, bound to a lease that lasts as long as it is. The engine's thread.
 */
#pragma once

#include <stdint.h>

struct fleet;

/* In each turn, and when to do that again, CLOCK_MONOTONIC. */
void hosts_tend(struct fleet *fleet);
int64_t hosts_next_ms(const struct fleet *fleet);

/* The store goes: nobody is told any more. The others see it when the lease has ended. */
void hosts_end(struct fleet *fleet);
