/* One command under way: who waits for it, what it does, how it ended. The engine's thread only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/engine/control.h"
#include "fs/engine/engine.h"
#include "fs/store/store_intent.h"
#include "kmsapi/kms.h"

/* What a verb is to who carries it out; the table is loop/verbs.c. */
struct verb {
    enum failure_source failure; /* what it is called in last_error */
    void (*begin)(struct operation *operation); /* NULL: no write begins it */
    bool asks_kms;
    bool beside_others; /* it begins also while another command of its AAP is under way, and ends at once */
};

/* What may still be done with an operation. */
enum operation_stage {
    OPERATION_WAITS_FOR_CATCH_UP, /* not begun: what an earlier worker left of its AAP comes first. It may be refused, or joined */
    OPERATION_UNDER_WAY,          /* begun: its file goes on with it, from what it has asked KMS, the publisher or a thread for */
    OPERATION_WAITS_FOR_ACCOUNT,  /* KMS is being asked for a sync whose account this is: nothing of its own was sent */
    OPERATION_WAITS_FOR_LISTING,  /* of its AAP's keys: that goes before those that nobody waits for */
    OPERATION_WAITS_FOR_FLEET,    /* for its AAP's lock: nothing of its own was sent */
    OPERATION_WAITS_FOR_DELETION, /* of a key of its AAP, for it or by itself: it goes on when there may be a place */
    OPERATION_ENDED, /* whoever repeats the write hears its result; nothing else may be done, and its secrets are wiped */
    OPERATION_STAGES
};

struct operation {
    struct engine *engine;
    uint32_t aap; /* 0: the mount */
    enum operation_stage stage;
    struct control_command command; /* its verb stays after the end */
    struct operation *next, *before; /* of the engine's */
    struct due_entry due;

    bool automatic; /* nobody has asked for it */
    bool is_first;  /* a creation whose password is first_key's */
    const char *by; /* of an automatic one: what has, for the log; or NULL */
    struct {
        pid_t pid;
        uid_t uid;
        char *bytes; /* as they were written: a repeated write is known by them; wiped */
        size_t size;
    } caller;

    struct {
        uint64_t *writes;
        size_t count;
        int64_t deadline_ms; /* when they are answered, whatever is still going on */
        bool answered;
        bool interrupted; /* somebody was not there any more when the result came */
    } waiters;

    int result; /* OPERATION_ENDED */
    int64_t ended_ms;

    /* what it goes on with, with the account known, or with a place; after OPERATION_WAITS_FOR_LISTING, ERROR NULL: it went well */
    void (*then)(struct operation *operation);
    void (*listed_then)(struct operation *operation, const struct kms_error *error);

    /* lock.c: its AAP's lock in the fleet, from when it wants it; with which it goes on when it has it */
    struct fleet_lock *fleet_lock;
    void (*fleet_then)(struct operation *operation);
    bool yields; /* another host was first: it ends as if it had not begun */

    uint32_t key, generation; /* that it brings, shows or deletes; 0: none yet */
    uint64_t intent_number;   /* 0: nothing can have been sent or saved */

    /* Not a union: a creation finds a place, and both are looked at whatever the verb is. */
    struct creation {
        char not_before[21], not_after[21];
        struct store_intent *intent; /* until it is saved, dropped or left */
        int64_t made;                /* the intent; KMS's time, seconds since 1970 */
        int64_t told_time;           /* the same, told when it refused the request for its time; 0: it did not */
        int save_error;              /* negative errno: the key is served and not saved yet */
        bool of_no_use;              /* it came, and has not begun or is to be replaced at once, which nobody asked for */
    } creation;
    struct { /* make_place.c */
        bool listed;                 /* it has had a listing of its AAP's keys */
        char freed_id[CLIENT_KEY_ID_SIZE]; /* OPERATION_WAITS_FOR_DELETION: what is deleted for it; "": one that was under way */
        struct kms_error quota_error; /* with which KMS has refused one more key; number 0: it has not */
        unsigned int most;            /* places that KMS gives then */
    } place;
    union {
        uint32_t leaving;    /* forget.c: the AAP that goes */
        bool config_is_here; /* reload.c: the configuration that it asked for holds */
    };
};

/* STAGE is next: after OPERATION_UNDER_WAY any other, after one that waits that or the end, after the end none. */
void operation_enter(struct operation *operation, enum operation_stage stage);

/* The name of the operation's AAP; the AAP's configuration. */
const struct config_aap *operation_aap_name(const struct operation *operation, char aap_name[static AAP_NAME_SIZE]);

/*
 * Notes ERROR in last_error of the operation's AAP or the mount, and ends the operation with it.
 * An error without an operation's name gets that of its verb.
 */
void operation_fail(struct operation *operation, const struct kms_error *error);

/* The same with an error of aapfs's own; the message is printf-like. */
void operation_refuse(struct operation *operation, int number, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Ends the operation well; a last_error of its verb is emptied. */
void operation_succeed(struct operation *operation);

/* For a write of its own: in the engine's list. NULL when memory is short. */
struct operation *operation_new(struct engine *engine, const struct engine_write *write);

/* One that nobody has asked for or waits for. NULL when memory is short. */
struct operation *operation_new_automatic(struct engine *engine, uint32_t aap, enum control_verb verb);

/*
 * A write that was interrupted is repeated by many programs of their own accord: the same bytes
 * from the same user are that operation's, not a new one. True: WRITE is answered, or waits with it.
 */
bool operation_join(struct engine *engine, const struct engine_write *write);

/* Those who wait are answered at DEADLINE_MS and not before: CLOCK_MONOTONIC; INT64_MAX: when it ends. */
void operation_wait_until(struct operation *operation, int64_t deadline_ms);

/* Answers those who wait now, without an end of the operation. */
void operation_answer(struct operation *operation, int result);

/* Ends the operation without a word in last_error. */
void operation_end(struct operation *operation, int result);

/* Where the operation's failure is noted. With the registry's lock. */
struct registry_failure *operation_failure(struct operation *operation);

/* Answers whose time is up, forgets what nobody can join any more; when to look again. */
int64_t operations_tend(struct engine *engine);

/* Answers those who still wait, and forgets all of them. */
void operations_end(struct engine *engine);

/* Whether there is an OPERATION, and somebody still waits for it; or somebody did, and was told that it takes too long. */
bool operation_is_awaited(const struct operation *operation);
bool operation_is_late(const struct operation *operation);

/* A key may come of it from here on: those who wait hear of it by this intent after a worker's death. */
void operation_note_intent(struct operation *operation, uint64_t intent_number);

/* It is its AAP's command under way, until its end. With the registry's lock. */
void operation_take_aap(struct operation *operation);

/* Whether OPERATION, which may be NULL, waits for a listing of its AAP's keys; AAP's turn has ended: it goes on, if it did. */
bool operation_waits_for_listing(const struct operation *operation);
void operation_listed(struct engine *engine, uint32_t aap, const struct kms_error *error);

/* What is left for requests to KMS before those who wait are answered, in milliseconds; at least 1. */
unsigned int operation_time_left(const struct operation *operation);
