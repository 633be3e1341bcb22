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

/* The ids of a listing, sorted. */
struct listed_ids {
    const char **ids;
    size_t count;
};

bool listed_ids_have(const struct listed_ids *listed, const char *client_key_id);

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

/* AAP's keys are to be listed at WHEN_MS, or before. */
void listing_want(struct engine *engine, uint32_t aap, int64_t when_ms);

/* Every AAP's are, now; sync_walked is called when all were, sync_walk_failed for each that could not be. */
void listing_walk(struct engine *engine);

/* AAP is gone. */
void listing_forget(struct engine *engine, uint32_t aap);

/* Goes on. When to look again, CLOCK_MONOTONIC. */
int64_t listing_tend(struct engine *engine);

void listing_end(struct engine *engine);

/* -- foreign_keys.c ------------------------------------------------------------------------ */

/*
 * A complete listing of AAP: foreign keys that are new are added, those that it lacks put into engine->listing.going.
 */
void foreign_keys_take(struct engine *engine, uint32_t aap, const struct kms_client_key *keys, size_t count,
                       const struct listed_ids *listed);

/* At the start: those that an earlier worker has shown. With the registry's lock. */
void foreign_keys_load(struct engine *engine);

/* Shows what was added and removes what goes, one after the other; DONE when there is nothing left, or at an error. */
void foreign_keys_publish(struct engine *engine, uint32_t aap, void (*done)(struct engine *engine, int result));

/* -- settle.c ------------------------------------------------------------------------------ */

/* Takes a listing of AAP. When to list again, CLOCK_MONOTONIC; 0: not for this. With the registry's lock. */
int64_t settle_take(struct engine *engine, struct registry_aap *aap, const struct kms_client_key *keys, size_t count);

/* After it, without the lock: intents of which nothing came leave the disk. */
void settle_drop(struct engine *engine);

/* Whether what came of a creation of AAP is not known. */
bool settle_has_intent(const struct engine *engine, uint32_t aap);

/* AAP is forgotten: its intents leave the disk. */
void settle_forget_aap(struct engine *engine, uint32_t aap);

#endif
