/*
 * What KMS says of the AAPs' client keys: ListClientKeys of one AAP after the other, one request at a time, each at
 * the pace of what nobody waits for. Feeds settle.c (orphans, candidates) and foreign_keys.c, and finds out which keys
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

/* The AAP under way, and what is due. */
struct listing {
    int64_t next_ms;  /* CLOCK_MONOTONIC: when one is due; nothing is before */
    uint32_t turn;    /* the AAP whose turn was last */
    size_t walk_left; /* AAPs that the last walk still has to list */

    uint32_t aap;     /* 0: none is under way */
    bool of_walk;     /* for the walk, which may have begun anew since */
    bool awaited;     /* the AAP's operation waited for it when it began */
    bool waits;       /* a request or a publication is under way */
    void (*step)(struct engine *engine); /* what is next */
    bool described;   /* KMS was asked for the AAP itself */
    int64_t asked_ms;
    unsigned int operations; /* engine_aap's, when it was asked */
    int64_t again_ms; /* settle.c wants another look; 0: no */

    /* keys whose private half is here and that were not listed: asked for one by one */
    char (*missing)[CLIENT_KEY_ID_SIZE];
    size_t missing_count, missing_next;
    bool contradicted; /* one of them is there all the same */
    struct kms_error failed; /* the first failure of these requests */

    uint32_t *going; /* foreign keys that were not listed any more: their numbers */
    size_t going_count;
};

/* Every AAP's are, now; sync_walked is called when all were, sync_walk_failed for each that could not be. */
void listing_walk(struct engine *engine);

/* AAP is gone. */
void listing_forget(struct engine *engine, uint32_t aap);

/* Goes on. When to look again, CLOCK_MONOTONIC. */
int64_t listing_tend(struct engine *engine);

void listing_end(struct engine *engine);

#endif
