/*
 * One command under way: who waits for it, what it does, how it ended; and the engine's inside. Shared by the files
 * of this folder that work for the engine; the engine's thread only.
 */
#ifndef AAPFS_FS_KEYS_OPERATION_H
#define AAPFS_FS_KEYS_OPERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/keys/clock.h"
#include "fs/keys/engine.h"
#include "fs/keys/control.h"
#include "fs/keys/listing.h"
#include "fs/keys/pace.h"
#include "fs/keys/store.h"
#include "kmsapi/kms.h"

/* upkeep.c: what is done by itself. Times: CLOCK_BOOTTIME in milliseconds. */
struct upkeep_notes {
    /* automatic.c */
    uint32_t seed_key, seed; /* of the current key */
    uint32_t failed_key;     /* the key that attempts in a row did not replace */
    unsigned int failures;
    int64_t retry_ms;
    bool attempt_now;        /* rotate-due */
    int64_t pardon;          /* KMS's time: what was asked for until then does not count */
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
    int network_error;     /* errno of a command that ended in a network error, and when */
    int64_t network_error_ms;
    unsigned int operations; /* commands that have ended */
    /* listing.c */
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

struct operation {
    struct engine *engine;
    uint32_t aap; /* 0: the mount */
    pid_t pid;
    uid_t uid;
    char *bytes; /* as they were written: a repeated write is known by them; wiped */
    size_t size;
    struct control_command command;

    uint64_t *waiting; /* the writes that wait for the result */
    size_t waiting_count;
    int64_t deadline_ms; /* when those who wait are answered, whatever is still going on */
    bool answered;
    bool waits_for_catch_up; /* it is not begun yet */
    bool interrupted; /* somebody was not there any more when the result came */
    bool automatic;   /* nobody has asked for it */
    const char *by;   /* of an automatic one: what has, for the log; or NULL */

    /* a creation's key on its way */
    uint32_t key, generation;
    char not_before[21], not_after[21];
    struct store_intent *intent; /* until it is saved, dropped or left */
    uint64_t intent_number;      /* 0: nothing can have been sent */
    int64_t intent_made;         /* KMS's time, seconds since 1970 */
    int64_t told_time;           /* the same, told when it refused the request for its time; 0: it did not */
    int save_error;              /* negative errno: the key is served and not saved yet */
    bool of_no_use;              /* it came, and has not begun or is to be replaced at once, which nobody asked for */

    /* make_place.c */
    bool lists, listed;       /* waits for a listing of its AAP's keys; has had one */
    bool waits_for_deletion;  /* one that was under way */
    bool frees;               /* a key is being deleted for it */
    char freed_id[CLIENT_KEY_ID_SIZE];
    struct kms_error quota_error; /* with which KMS has refused one more key; number 0: it has not */
    unsigned int most;            /* places that KMS gives then */

    uint32_t leaving; /* forget.c: the AAP that goes */

    /* account.c */
    void (*then)(struct operation *operation);
    bool waits_for_account;

    /* reload.c */
    bool reloads;
    bool config_is_here; /* the configuration that it asked for holds */

    bool ended;
    int result;
    int64_t ended_ms;
    struct operation *next;
};

struct engine {
    struct engine_parts parts;
    struct kms_clock clock;
    int64_t start_ms, start_boot_ms; /* the local clock and CLOCK_BOOTTIME at the start */
    struct pace pace; /* of what nobody waits for; config's requests_per_second */
    struct engine_aap *aaps; /* by number */
    size_t aap_room;
    struct operation *operations;

    /* account.c */
    struct store *store; /* NULL: no account is known yet */
    char account[ACCOUNT_SIZE];       /* the store's */
    char other_account[ACCOUNT_SIZE]; /* the credentials', where that is another one; "": it is not */
    char other_region[ARN_REGION_SIZE]; /* the endpoint's, where that is not the configuration's; "" */
    bool account_is_known;            /* KMS has told the store's account */
    bool account_is_assumed;          /* it has not, and will not: asking is forbidden */
    bool asking_account;

    bool foreign_state; /* foreign.c: made on another machine; nothing may be done by itself */

    /* unsaved.c */
    struct unsaved *unsaved;

    /* upkeep.c */
    int64_t upkeep_ms; /* CLOCK_MONOTONIC: when to look again */
    int64_t clock_asked_ms; /* CLOCK_BOOTTIME: when KMS was asked for its time last */

    struct password_reading *password_readings; /* password_file.c: under way, or hanging */

    /* settle.c */
    struct left_intent *left_intents;

    struct listing listing; /* listing.c */

    /* inherit.c */
    struct inherited *inherited; /* writes that wait until their AAP has caught up */

    /* sync.c */
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

    /* engine.c */
    struct engine_queue *queue;
    bool draining, told_drained;
};

/*
 * At the engine's start: publishes what an earlier worker left half published. Watchers may hear of a name twice,
 * readers never see one go back.
 */
void catch_up(struct engine *engine);

/* Whether everything of AAP that was left half published is published by now. */
bool catch_up_is_done(const struct engine *engine, uint32_t aap);

/* AAP has caught up: what waited for that is begun. */
void engine_caught_up(struct engine *engine, uint32_t aap);

/* KMS's time now, seconds since 1970. */
int64_t engine_now(const struct engine *engine);

/* Learns KMS's time from an answer. */
void engine_observe(struct engine *engine, const struct kms_answer *answer);

/* AAPs are numbered from 1 to this; not every number is one. Takes the registry's lock. */
uint32_t engine_aap_count(const struct engine *engine);

/* The engine's notes on an AAP; NULL when memory is short. */
struct engine_aap *engine_aap(struct engine *engine, uint32_t aap);

/* The name of the operation's AAP; the AAP's configuration. */
const struct config_aap *operation_aap_name(const struct operation *operation,
                                            char aap_name[static AAP_NAME_SIZE]);

/*
 * Notes ERROR in last_error of the operation's AAP or the mount, and ends the operation with it.
 * An error without an operation's name gets NAME.
 */
void operation_fail(struct operation *operation, const char *name, const struct kms_error *error);

/* The same with an error of aapfs's own; the message is printf-like. */
void operation_refuse(struct operation *operation, const char *name, int number, const char *code,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Ends the operation well; a last_error of NAME is emptied. */
void operation_succeed(struct operation *operation, const char *name);

/* For a write of its own: in the engine's list. NULL when memory is short. */
struct operation *operation_new(struct engine *engine, const struct engine_write *write);
void operation_free(struct operation *operation);

/* One that nobody has asked for or waits for. NULL when memory is short. */
struct operation *operation_new_automatic(struct engine *engine, uint32_t aap, enum control_verb verb);

/*
 * A write that was interrupted is repeated by many programs of their own accord: the same bytes
 * from the same user are that operation's, not a new one. True: WRITE is answered, or waits with it.
 */
bool operation_join(struct engine *engine, const struct engine_write *write);

/* Answers those who wait now, without an end of the operation. */
void operation_answer(struct operation *operation, int result);

/* Ends the operation without a word in last_error. */
void operation_end(struct operation *operation, int result);

/* Where the operation's failure is noted. With the registry's lock. */
struct registry_failure *operation_failure(struct operation *operation);

/* Answers whose time is up, forgets what nobody can join any more; when to look again. */
int64_t operations_tend(struct engine *engine);

/* What is left for requests to KMS before those who wait are answered, in milliseconds; at least 1. */
unsigned int operation_time_left(const struct operation *operation);

/* Goes on with rotation_reserve when the AAP has a place for one more key; else ends the operation. */
void place_require(struct operation *operation);

/* KMS has refused a creation with ERROR. True: for want of a place, and the operation goes on with finding one. */
bool place_is_refused(struct operation *operation, const struct kms_error *error);

/* From listing.c: the turn that began when the AAP's operation waited for it has ended; ERROR NULL: well. */
bool place_waits_for_listing(const struct operation *operation);
void place_listed(struct engine *engine, uint32_t aap, const struct kms_error *error);

/* From superseded.c: a deletion that nobody asked for has ended. */
void place_deleted(struct engine *engine, uint32_t aap, int result);

/* A place is free: there must be room for a key, and then it is asked for. */
void rotation_reserve(struct operation *operation);

/* What the commands do, each ending in one of the three above. */
void rotation_begin(struct operation *operation);
void retire_begin(struct operation *operation);
void recheck_begin(struct operation *operation);
void adopt_begin(struct operation *operation);
void forget_begin(struct operation *operation);
void sync_begin(struct engine *engine, struct operation *operation);
void reload_begin(struct operation *operation);

/* A listing now, or after the one that is under way. */
void sync_soon(struct engine *engine);

/* An earlier worker may have died before the kernel was told of a new configuration: it is told of everything. */
void reload_refresh_all(struct engine *engine);
void reload_free(struct engine *engine);

/* Lists again when it is time. When to look again, CLOCK_MONOTONIC. */
int64_t sync_tend(struct engine *engine);

/* Whether somebody waits for a listing: then it goes at full pace. */
bool sync_is_awaited(const struct engine *engine);

/* From account.c: what there is to know about the account is known. */
void sync_account_learnt(struct engine *engine, const struct kms_error *error);

/* From listing.c: one AAP's keys could not be listed; every AAP had its turn. */
void sync_walk_failed(struct engine *engine, const struct kms_error *error);
void sync_walked(struct engine *engine);

/* From listing.c: an AAP that had not been answered for, is, in a turn that belongs to no walk. */
void sync_answered(struct engine *engine);

void sync_end(struct engine *engine);

/* Whether there is anything of AAP that must stay. With the registry's lock. */
bool leave_has_private(const struct engine *engine, const struct registry_aap *aap);

/* Whether nothing of AAP is under way, neither what somebody asked for nor what is done by itself. */
bool leave_is_free(const struct engine *engine, uint32_t aap);

/* Removes AAP's directory, forgets it and calls DONE. Nothing of it may be under way. */
void leave_begin(struct engine *engine, uint32_t aap, void (*done)(void *user, int result), void *user);

/* The operation's generation is made and its key shown: moves the names, and ends the operation. */
void rotation_show_generation(struct operation *operation);

/* Fills the registry from the store. Before the engine's thread begins. 0, or negative errno after a line. */
int load_store(struct engine *engine);

/* A write that an earlier worker had begun when it died: answered as the store tells, never carried out again. */
void inherit_write(struct engine *engine, const struct engine_write *write);

/* Every name of AAP shows its current key: the inherited writes that wait for that are answered. */
void inherit_caught_up(struct engine *engine, uint32_t aap);

/* Answers what still waits. */
void inherit_end(struct engine *engine);

/* At the engine's start: whether the state directory is this machine's. */
void foreign_look(struct engine *engine);

/* `adopt-state`: from now on it is. */
void foreign_adopt(struct operation *operation);

/*
 * Goes on with THEN when KMS has told that the store is the credentials' account's, and, where it can be told, whether
 * the AAP has client keys; else ends the operation.
 */
void account_require(struct operation *operation, void (*then)(struct operation *operation));

/* KMS tells AAP's AuthenticationMethod ("": it does not). With the registry's lock. */
void ram_role_note(struct registry_aap *aap, const char *authentication_method);

/* True: OPERATION's AAP has no client keys, and the operation, NAME, has ended with that. */
bool ram_role_refuses(struct operation *operation, const char *name);

/* Asks KMS for the account, by the AAP of that name; sync_account_learnt is called then. False: memory is short. */
bool account_learn(struct engine *engine, const char *aap_name);

/* Whether that was told; what is listed is not ours then. */
bool account_is_other(const struct engine *engine);

/* ERROR: that the credentials are another account's or region's than the store. */
void account_refuse(const struct engine *engine, struct kms_error *error);

/* The Code of a creation whose key is served and could not be saved. */
#define UNSAVED_CODE "Unsaved"

/* Keeps a copy of RECORD, which could not be saved; INTENT is taken over. 0 or -ENOMEM. */
int unsaved_keep(struct engine *engine, uint32_t aap, struct store_intent *intent,
                 const struct record *record);

/* Tries again what is due. When to look again, CLOCK_MONOTONIC. */
int64_t unsaved_tend(struct engine *engine);

/* The record of a key that is not saved yet; NULL: it is not one of these. */
const struct record *unsaved_record(const struct engine *engine, const char *client_key_id);

/* Forgets a key that KMS no longer has. False: it is not one of these. */
bool unsaved_drop(struct engine *engine, const char *client_key_id);

/* A last try, at the engine's end. */
void unsaved_end(struct engine *engine);

/* Leaves the operation's intent on the disk and finds out what came of it. */
void settle_leave(struct operation *operation);

/* The same for an INTENT of AAP that was found on the disk. */
void settle_add(struct engine *engine, uint32_t aap, const struct record *intent);

/* KMS no longer has this Orphan: nor does its intent stay. */
void settle_forget(struct engine *engine, uint32_t aap, const char *client_key_id);

/*
 * How many intents of AAP, left after SINCE (KMS's time), are not known to have come to nothing, or to a key that KMS has
 * no longer.
 */
unsigned int settle_count_since(const struct engine *engine, uint32_t aap, int64_t since);

/*
 * Whether KMS was asked for a listing of AAP's keys after the last intent was left, and it came, complete, or is
 * forbidden: waiting for it would be for ever.
 */
bool settle_is_asked(struct engine *engine, uint32_t aap);

void settle_end(struct engine *engine);

#endif
