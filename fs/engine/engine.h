/*
 * The engine's inside: what the rooms that work for it share, and what it remembers of each AAP. The engine's thread only.
 */
#ifndef AAPFS_FS_ENGINE_ENGINE_H
#define AAPFS_FS_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/engine/kms_clock.h"
#include "fs/engine/pace.h"
#include "fs/engine/parts.h"
#include "fs/store/store.h"
#include "kmsapi/kms.h"

struct operation;
struct verb;

/* upkeep.c: what is done by itself. Times: CLOCK_BOOTTIME in milliseconds. */
struct upkeep_notes {
    /* rotations.c */
    uint32_t seed_key, seed; /* of the current key */
    uint32_t failed_key;     /* the key that attempts in a row did not replace */
    unsigned int failures;
    int64_t retry_ms;
    bool attempt_now;        /* rotate-due */
    bool was_blocked;
    int64_t stalls_ms;       /* until when one that is due has time to begin; 0: none is due, or it has begun */
    bool was_stalled;
    /* told.c */
    bool told_is_changed;
    /* superseded.c */
    struct operation *deleting;
    unsigned int delete_failures;
    int64_t delete_ms;
    /* warnings.c */
    uint32_t warned_key;
    unsigned int warned_steps;
    uint32_t expired_key;
};

/* What the engine remembers of an AAP between commands. */
struct engine_aap {
    struct operation *running;
    /* catch_up.c: publications that an earlier worker left half done */
    unsigned int catching_up;
    uint32_t generation_behind; /* to be published when its directory and keys are */
    uint32_t hook_generation;   /* hook.c: for which on_rotate runs; 0: it does not */
    struct following *following; /* follow.c */
    int64_t created_ms;    /* CLOCK_MONOTONIC of the last creation's end; 0: none */
    pid_t creator;
    int64_t asked_by_hand; /* KMS's time when somebody asked for a creation; what failed until then does not count */
    int network_error;     /* errno of a command that ended in a network error, and when */
    int64_t network_error_ms;
    unsigned int operations; /* commands that have ended */
    /* client_keys.c */
    int64_t list_ms;   /* CLOCK_MONOTONIC of the next listing of its keys; 0: none */
    int64_t listed_ms; /* when the last one that can be believed was asked for; 0: never */
    unsigned int list_failures;
    bool walk;         /* the walk through all AAPs has not come to it yet */
    bool missing;      /* whether KMS still has the AAP is to be asked first */
    bool unanswered;   /* the last listing failed, and not because it is not permitted */
    int64_t list_refused_ms; /* when the last one that KMS forbade was asked for; 0: none was since a good one */
    int64_t unsettled_ms; /* when an intent was left last, CLOCK_MONOTONIC */
    struct upkeep_notes upkeep;
};

struct engine {
    struct engine_parts parts;
    struct kms_clock clock;
    int64_t start_ms, start_boot_ms; /* the local clock and CLOCK_BOOTTIME at the start */
    struct pace pace; /* of what nobody waits for; config's requests_per_second */
    struct engine_aap *aaps; /* by number */
    size_t aap_room;
    struct operation *operations;

    struct account *account; /* account.c */
    struct store *store;     /* the account's; NULL: none is known yet */

    bool foreign_state; /* foreign_state.c: made on another machine; nothing may be done by itself */

    /* unsaved.c */
    struct unsaved *unsaved;

    /* upkeep.c */
    int64_t upkeep_ms; /* CLOCK_MONOTONIC: when to look again */
    int64_t clock_asked_ms; /* CLOCK_BOOTTIME: when KMS was asked for its time last */

    struct password_reading *password_readings; /* password_file.c: under way, or hanging */

    /* doubts.c */
    struct left_intent *left_intents;

    struct listing *listing; /* client_keys.c */
    int64_t listing_next_ms; /* CLOCK_MONOTONIC: when one is due; nothing is before */

    /* inherit.c */
    struct inherited *inherited; /* writes that wait until their AAP has caught up */

    /* aaps.c */
    struct operation *sync_operation; /* the control write that asked for it, or NULL */
    bool syncing;    /* the AAPs are being listed */
    bool sync_again; /* once more after that: it was asked for meanwhile */
    bool sync_waits_for_account, sync_walk_failed;
    bool sync_uncounted; /* what was listed came without its total */
    bool sync_owed;  /* complete once KMS has answered for each AAP: there is no list of them */
    struct kms_error sync_error; /* with which the account was asked for; number 0: it was told */
    struct sync_names *sync_names; /* what was listed */
    int64_t next_sync_ms; /* CLOCK_BOOTTIME; INT64_MAX: none */
    unsigned int sync_failures;
    uint32_t next_to_show; /* AAP number */

    int64_t follow_ms; /* follow.c: CLOCK_MONOTONIC of the next pass; INT64_MAX: none */
    /* reload.c, sections.c */
    struct refresh *refresh; /* what the kernel is being told of a new configuration; NULL: nothing */
    bool refreshing;
    bool sections_told;

    /* what follows, above: given by the loop */
    const struct verb *verbs; /* by enum control_verb */
    void (*operation_ended)(struct operation *operation, int result);
    void (*aap_changed)(struct engine *engine, uint32_t aap); /* something that its status tells */

    /* loop.c */
    struct engine_queue *queue;
    bool draining, told_drained;
};


/* Whether everything of AAP that an earlier worker left half published is published by now. */
bool engine_is_caught_up(const struct engine *engine, uint32_t aap);

/* KMS's time now, seconds since 1970. */
int64_t engine_now(const struct engine *engine);

/* Learns KMS's time from an answer. */
void engine_observe(struct engine *engine, const struct kms_answer *answer);

/* AAPs are numbered from 1 to this; not every number is one. Takes the registry's lock. */
uint32_t engine_aap_count(const struct engine *engine);

/* Whether AAP is here, and not on its way out: nothing is begun of one that is. Takes the registry's lock. */
bool engine_has_aap(const struct engine *engine, uint32_t aap);

/* The engine's notes on an AAP; NULL when memory is short. */
struct engine_aap *engine_aap(struct engine *engine, uint32_t aap);

/* AAP's keys are to be listed at WHEN_MS (CLOCK_MONOTONIC), or before. */
void engine_want_listing(struct engine *engine, uint32_t aap, int64_t when_ms);

#endif
