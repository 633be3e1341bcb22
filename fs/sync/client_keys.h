/*
 * What KMS says of the AAPs' client keys: ListClientKeys of one AAP after the other, one request at a time, each at
 * the pace of what nobody waits for. Feeds doubts.c (orphans, candidates) and foreign_keys.c, and finds out which keys
 * KMS no longer has. The engine's thread.
 */
#ifndef AAPFS_FS_SYNC_CLIENT_KEYS_H
#define AAPFS_FS_SYNC_CLIENT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/model/registry.h"
#include "kmsapi/kms.h"

struct engine;

/* Before anything else here. False: memory is short. */
bool listing_start(struct engine *engine);

/* Whether AAPs of the last walk still have to be listed. */
bool listing_is_walking(const struct engine *engine);

/* Every AAP's are, now; sync_walked is called when all were, sync_walk_failed for each that could not be. */
void listing_walk(struct engine *engine);

/* AAP is gone. */
void listing_forget(struct engine *engine, uint32_t aap);

/* Goes on. When to look again, CLOCK_MONOTONIC. */
int64_t listing_tend(struct engine *engine);

void listing_end(struct engine *engine);

#endif
