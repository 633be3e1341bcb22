/*
 * The engine's inside: what the rooms that work for it share, and what it remembers of each AAP. The engine's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/base/due.h"
#include "fs/engine/kms_clock.h"
#include "fs/engine/pace.h"
#include "fs/engine/parts.h"
#include "fs/store/store.h"
#include "kmsapi/kms.h"

struct operation;
struct verb;

/* upkeep/: what is done by itself. Times: CLOCK_BOOTTIME in milliseconds. */
struct upkeep_notes {
    /* upkeep.c */
    struct due_entry rotation, deletion; /* one that may begin now */
    /* rotations.c */
    uint32_t seed_key, seed; /* of the current key */
    uint32_t failed_key;     /* the key that attempts in a row did not replace */
    unsigned int failures;
    int64_t retry_boot_ms;
    bool attempt_now;        /* rotate-due */
    int64_t stalls_boot_ms;       /* until when one that is due has time to begin; 0: none is due, or it has begun */
    bool was_stalled;
    int64_t yields_boot_ms;  /* since when another host of the fleet is first; 0: none is */
    /* notified.c */
    bool notified_is_changed;
    /* superseded.c */
    struct operation *deleting;
    unsigned int delete_failures;
    int64_t delete_boot_ms;
    /* warnings.c */
    uint32_t warned_key;
    unsigned int warned_steps;
    uint32_t expired_key;
};

/* client_keys.c: the listings of its keys. Times: CLOCK_MONOTONIC in milliseconds. */
struct listing_notes {
    struct due_entry due;
    int64_t listed_mono_ms;     /* when the last one that can be believed was asked for; 0: never */
    int64_t refused_mono_ms;    /* when the last one that KMS forbade was asked for; 0: none was since a good one */
    unsigned int failures;
    bool of_walk;    /* the walk through all AAPs has not come to it yet */
    bool missing;    /* whether KMS still has the AAP is to be asked first */
    bool unanswered; /* the last listing failed, and not because it is not permitted */
};

/* What the engine remembers of an AAP between commands. It stays where it is. */
struct engine_aap {
    struct due_entry look; /* when upkeep/ looks at it next */
    struct operation *running;
    unsigned int operations; /* commands that have ended */
    /* operation.c: errno of a command that ended in a network error, and when */
    int network_error;
    int64_t network_error_mono_ms;
    /* creation.c */
    int64_t created_mono_ms; /* CLOCK_MONOTONIC of the last creation's end; 0: none */
    pid_t creator;
    int64_t asked_by_hand; /* KMS's time when somebody asked for a creation; what failed until then does not count */
    /* catch_up.c: publications that an earlier worker left half done */
    unsigned int catching_up;
    uint32_t generation_behind; /* to be published when its directory and keys are */
    uint32_t hook_generation;   /* hook.c: for which on_rotate runs; 0: it does not */
    struct following *following; /* follow.c */
    struct listing_notes listing;
    /* doubts.c */
    struct left_intent *left_intents; /* newest first */
    int64_t unsettled_mono_ms; /* when one was left last, CLOCK_MONOTONIC */
    struct upkeep_notes upkeep;
    struct fleet_aap *fleet; /* fleet_aap.c: what the fleet has of it; NULL: nothing was asked */
};

struct engine {
    struct engine_parts parts;
    struct kms_clock clock;
    int64_t start_ms, start_boot_ms; /* the local clock and CLOCK_BOOTTIME at the start */
    struct pace pace; /* of what nobody waits for; config's requests_per_second */
    struct engine_aap **aaps; /* by number; each stays where it is */
    size_t aap_room;
    struct operation *operations;
    struct due answers; /* CLOCK_MONOTONIC: when each operation is answered for its time, or forgotten */
    unsigned int in_stage[8]; /* operations, by enum operation_stage */
    struct due looks;    /* AAPs that upkeep/ is to look at, CLOCK_BOOTTIME; engine_wake */
    struct due listings; /* AAPs whose keys are to be listed, CLOCK_MONOTONIC; engine_want_listing */
    int64_t woken_offset_ms; /* the clock's offset when every AAP was woken last */

    struct fleet *fleet; /* fleet.c; NULL: this host shares nothing */

    struct account *account; /* account.c */
    struct store *store;     /* the account's; NULL: none is known yet */

    bool foreign_state; /* foreign_state.c: made on another machine; nothing may be done by itself */

    /* unsaved.c */
    struct unsaved *unsaved;

    struct upkeep *upkeep; /* upkeep.c */

    struct password_reading *password_readings; /* password_file.c: under way, or hanging */

    struct listing *listing; /* client_keys.c */

    struct sync *sync; /* aaps.c */
    struct follow *follow; /* follow.c */
    /* reload.c, sections.c */
    struct refresh *refresh; /* what the kernel is being told of a new configuration; NULL: nothing */
    bool refreshing;
    bool sections_told;

    /* what follows, above: given by the loop */
    const struct verb *verbs; /* by enum control_verb */
    void (*operation_ended)(struct operation *operation, int result);
    void (*aap_changed)(struct engine *engine, uint32_t aap); /* something that its status tells */
    /* shared_key.h: what the fleet has comes here, or goes */
    int (*fleet_key_came)(struct engine *engine, uint32_t aap, struct record *record);
    int (*fleet_key_gone)(struct engine *engine, uint32_t aap, const char *client_key_id);

    /* loop.c */
    struct engine_queue *queue;
    bool draining, told_drained;
};


/* Whether everything of AAP that an earlier worker left half published is published by now. */
bool engine_is_caught_up(const struct engine *engine, uint32_t aap);

/* KMS's time now, seconds since 1970. */
int64_t engine_now(const struct engine *engine);

/* Makes a change visible; DONE(USER, 0 or negative errno) then. Without the registry's lock. */
void engine_publish(struct engine *engine, enum publish_kind kind, uint32_t number, void (*done)(void *user, int result),
                    void *user);

/* Learns KMS's time from an answer. */
void engine_observe(struct engine *engine, const struct kms_answer *answer);

/* AAPs are numbered from 1 to this; not every number is one. Takes the registry's lock. */
uint32_t engine_aap_count(const struct engine *engine);

/* Whether AAP is here, and not on its way out: nothing is begun of one that is. Takes the registry's lock. */
bool engine_has_aap(const struct engine *engine, uint32_t aap);

/* The engine's notes on an AAP, made now if there are none: NULL when memory is short. */
struct engine_aap *engine_aap(struct engine *engine, uint32_t aap);

/* The same, NULL where none were made: nothing has happened to that AAP. */
struct engine_aap *engine_noted(const struct engine *engine, uint32_t aap);

/* AAP's keys are to be listed at WHEN_MS (CLOCK_MONOTONIC), or before. */
void engine_want_listing(struct engine *engine, uint32_t aap, int64_t when_ms);

/*
 * Something of AAP has changed, or of all of them: upkeep/ looks at it in this turn. Whatever may let something come due,
 * or begin that is due, ends in one of these; time alone does not.
 */
void engine_wake(struct engine *engine, uint32_t aap);
void engine_wake_all(struct engine *engine);

void engine_free_aaps(struct engine *engine);
