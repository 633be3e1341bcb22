/*
 * Intents that were left: whether KMS made a key for them is not known. KMS's listing tells. A listed key that is unknown
 * here and has exactly the dates that aapfs chose is ours, an Orphan: its private half is lost. Where the user gave
 * the dates, or KMS changed them, unknown keys made since are Candidates. Nothing is deleted unasked.
 *
 * An intent for which KMS made a key stays on the disk: it is what remembers the Orphan. One for which it made none goes when
 * two listings in a row know of none a minute after it was left: before that the request may still be on its way.
 * Where KMS forbids the listing all of them stay. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/store/record.h"
#include "kmsapi/kms.h"

struct engine;
struct fleet_intent;
struct operation;
struct registry_aap;

/* Leaves the operation's intent on the disk and finds out its outcome. */
void doubts_leave(struct operation *operation);

/* The same for an INTENT of AAP that was found on the disk. */
void doubts_add(struct engine *engine, uint32_t aap, const struct record *intent);

/*
 * The intents of AAP's that stand in its fleet (intents.h), whose ends only KMS's listing tells: those of other hosts too, and
 * those that do not stand there any more are forgotten. What was asked for by a host that has died or lost its lock by now may
 * come within ON_ITS_WAY_MS: a listing that is to tell of it is asked for after that. The host of one that is still to be
 * settled so; NULL: doubts_are_asked.
 */
const char *doubts_share(struct engine *engine, uint32_t aap, const struct fleet_intent *intents, unsigned int on_its_way_ms);

/* KMS no longer has this Orphan: nor does its intent stay. */
void doubts_forget(struct engine *engine, uint32_t aap, const char *client_key_id);

/* AAP is forgotten: its intents leave the disk. */
void doubts_forget_aap(struct engine *engine, uint32_t aap);

/*
 * How many intents of AAP, left after SINCE (KMS's time), are not known to have come to nothing, or to a key that KMS has
 * no longer.
 */
unsigned int doubts_count_since(const struct engine *engine, uint32_t aap, int64_t since);

/*
 * Whether KMS was asked for a listing of AAP's keys after the last intent was left, and it came, complete, or is
 * forbidden: waiting for it would be for ever.
 */
bool doubts_are_asked(struct engine *engine, uint32_t aap);

/*
 * Whether of each creation of AAP it is known what came of it: nothing, or an Orphan. Keys that may have been made elsewhere
 * do not count where aapfs chose the dates of its own: a minute after it was left the listing would have it.
 */
bool doubts_are_settled(const struct engine *engine, uint32_t aap);

/* Whether the outcome of a creation of AAP is not known. */
bool doubts_have_intent(const struct engine *engine, uint32_t aap);

/* Takes a listing of AAP. When to list again, CLOCK_MONOTONIC; 0: not for this. With the registry's lock. */
int64_t doubts_take(struct engine *engine, struct registry_aap *aap, const struct kms_client_key *keys, size_t count);

/* After it, without the lock: intents of which nothing came leave the disk. */
void doubts_drop(struct engine *engine, uint32_t aap);

void doubts_end(struct engine *engine);
