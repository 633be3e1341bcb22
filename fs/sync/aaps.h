/*
 * Which AAPs there are: from the configuration, or as KMS lists them, now and again every sync_interval. What is new
 * gets a directory. One that a complete listing no longer names goes if nothing of it is here that KMS handed out;
 * of any other KMS itself is asked (listing.c). Then each AAP's keys are listed: the walk.
 *
 * Complete is a sync whose list of AAPs came; where they are named in the configuration, one in which KMS answered for
 * each of them. That something is not permitted is an answer: no later sync would learn more. The engine's thread.
 */
#ifndef AAPFS_FS_SYNC_AAPS_H
#define AAPFS_FS_SYNC_AAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "kmsapi/kms_error.h"

struct engine;
struct operation;

/* A listing; OPERATION, which may be NULL, ends with it. */
void sync_begin(struct engine *engine, struct operation *operation);

/* A listing now, or after the one that is under way. */
void sync_soon(struct engine *engine);

/* Lists again when it is time. When to look again, CLOCK_MONOTONIC. */
int64_t sync_tend(struct engine *engine);

/* Whether somebody waits for a listing: then it goes at full pace. */
bool sync_is_awaited(const struct engine *engine);

/* From account.c: what there is to know about the account is known. */
void sync_account_learnt(struct engine *engine, const struct kms_error *error);

/* From client_keys.c: one AAP's keys could not be listed; every AAP had its turn. */
void sync_walk_failed(struct engine *engine, const struct kms_error *error);
void sync_walked(struct engine *engine);

/* From client_keys.c: an AAP that had not been answered for, is, in a turn that belongs to no walk. */
void sync_answered(struct engine *engine);

void sync_end(struct engine *engine);

#endif
