/*
 * An AAP that leaves the mount: nothing of it is here that must stay. Its directory goes first, through the mount, so
 * that who watches hears of it; then the registry forgets it. `removed` in the numbers says so to the next worker.
 * The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct registry_aap;

/* Whether there is anything of AAP that must stay. With the registry's lock. */
bool leave_has_private(const struct engine *engine, const struct registry_aap *aap);

/* Whether nothing of AAP is under way, neither what somebody asked for nor what is done by itself. */
bool leave_is_free(const struct engine *engine, uint32_t aap);

/* Removes AAP's directory, forgets it and calls DONE. Nothing of it may be under way. */
void leave_begin(struct engine *engine, uint32_t aap, void (*done)(void *user, int result), void *user);
