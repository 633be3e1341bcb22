/*
 * One command under way: who waits for it, what it does, how it ended. The engine's thread only.
 */
#ifndef AAPFS_FS_ENGINE_OPERATION_H
#define AAPFS_FS_ENGINE_OPERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/engine/control.h"
#include "fs/engine/engine.h"
#include "fs/store/store_intent.h"
#include "kmsapi/kms.h"

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
    bool listed;              /* it has had a listing of its AAP's keys */
    /* not NULL: it waits for one; ERROR NULL: it went well */
    void (*listed_then)(struct operation *operation, const struct kms_error *error);
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

/* Whether there is an OPERATION, and somebody still waits for it. */
bool operation_is_awaited(const struct operation *operation);

/* Whether OPERATION, which may be NULL, waits for a listing of its AAP's keys; AAP's turn has ended: it goes on, if it did. */
bool operation_waits_for_listing(const struct operation *operation);
void operation_listed(struct engine *engine, uint32_t aap, const struct kms_error *error);

/* What is left for requests to KMS before those who wait are answered, in milliseconds; at least 1. */
unsigned int operation_time_left(const struct operation *operation);

#endif
