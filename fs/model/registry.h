/*
 * The one model of what is known: AAPs and their client keys. The engine writes it, the session
 * reads it; both hold the registry's lock while they look at what its functions return. The lock is
 * held for moments only: nobody waits, logs or calls the network under it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/config/config.h"
#include "fs/model/failure.h"
#include "fs/model/numbers.h"
#include "kmsapi/client_key.h"

/* The files of one client key, in its own directory keys/<id>. */
enum key_file {
    KEY_FILE_CLIENT_KEY_JSON,
    KEY_FILE_CLIENT_KEY_P12,
    KEY_FILE_PRIVATE_KEY_DATA,
    KEY_FILE_PRIVATE_KEY_PEM,
    KEY_FILE_CERTIFICATE_PEM,
    KEY_FILE_CLIENT_KEY_ID,
    KEY_FILE_KEY_ALGORITHM,
    KEY_FILE_NOT_BEFORE,
    KEY_FILE_NOT_AFTER,
    KEY_FILE_PASSWORD, /* exact bytes, no newline: SDKs take a password file's content as it is */
    KEY_FILE_COUNT
};

struct registry_key {
    uint32_t number; /* numbers.h */
    char client_key_id[CLIENT_KEY_ID_SIZE];
    char not_before[21], not_after[21];
    int64_t not_before_time, not_after_time; /* seconds since 1970 */
    int64_t made_ns;                         /* when it came here */
    int64_t asked;                           /* KMS's time when it was asked for, seconds since 1970 */
    char request_id[64];                     /* of its creation */
    uint64_t intent;                         /* the intent that it came from */
    bool scheduled;                          /* made while another was current, to become it when it begins */
    bool begun;                              /* and it did: it stays so when our clock is behind KMS's */
    bool deleted;                            /* its directory is on its way out */
    bool dates_given;                        /* by the user, not by aapfs */
    bool adopted;                            /* made elsewhere and given to this mount: never deleted in KMS */
    bool gone;                               /* KMS itself says that it does not exist */
    bool gone_expired;                       /* and it had expired before: it is replaced all the same */
    struct client_key_bytes files[KEY_FILE_COUNT]; /* DATA NULL: this key has no such file */
    struct registry_key *next;
};

/* How the last command of on_rotate ended. */
struct registry_hook {
    int64_t time; /* seconds since 1970, KMS's time; 0: none has ended */
    bool ok;
    char text[96];
};

/* What becomes of the current key by itself. */
enum rotation_state {
    ROTATION_NONE,    /* nothing replaces it, or there is none */
    ROTATION_PLANNED, /* it is replaced in time */
    ROTATION_DUE,     /* the time has come: begun as soon as it may be, or under way */
    ROTATION_FAILING, /* due, and an attempt has failed or cannot be begun: tried again */
    ROTATION_BLOCKED, /* due; too many creations unsettled or rejected: nothing is made until somebody writes */
};

/*
 * When the current key is replaced, or the first one is made. Written by schedule's user in the engine; KMS's time, seconds
 * since 1970.
 */
struct registry_rotation {
    int64_t next; /* 0: nothing will replace it */
    enum rotation_state state;
    bool first;    /* there is none to replace: the AAP's first key is to be made, now */
    bool no_place; /* it would find none, nor may make one: places.h */
};

/* Up to which key the applications were told: on_rotate ended well, `reloaded`, or a first key. */
struct registry_notified {
    char client_key_id[CLIENT_KEY_ID_SIZE]; /* "": of none */
    int64_t time;
};

/* A client key of which only the id is shown. */
struct registry_id {
    char client_key_id[CLIENT_KEY_ID_SIZE];
    uint64_t intent; /* the intent that it came from; 0: not known */
    int64_t asked;   /* a rejected one: KMS's time when it was asked for, seconds since 1970 */
    int64_t not_after; /* a rejected one; 0: not known */
    bool unlisted;   /* rejected ones and orphans: KMS's last complete listing lacks it */
    struct registry_id *next;
};

struct registry_aap {
    uint32_t number;
    char name[AAP_NAME_SIZE];
    const struct config_aap *config;
    struct registry_key *keys;  /* those whose private half is here, newest first */
    struct registry_key *current;
    struct registry_key *foreign; /* made elsewhere: the public files only; any order */
    bool gone;                  /* KMS itself says that it does not exist */
    bool ram_role;              /* it is used with a RAM role, says KMS: there are no client keys */
    bool method_asked;          /* which of both it is was told in this process, or asked for */
    struct registry_rotation rotation;
    struct registry_notified notified;
    int64_t in_use_until; /* NotAfter of the superseded key that applications may still use, the earliest; 0: none */
    uint32_t generation;        /* the newest one; what the names show is in numbers */
    bool cannot_settle;         /* the outcome of a creation is not known, and KMS forbids the listing that would tell it */
    bool busy;                  /* an operation is under way */
    char request_id[64];        /* of the current key's creation */
    struct registry_failure failure;
    struct registry_hook last_hook;
    struct registry_id *rejected;   /* KMS handed it out, and it cannot be used */
    struct registry_id *unsaved;    /* served, and not on the disk yet */
    struct registry_id *orphans;    /* made here, and its private half is lost */
    struct registry_id *candidates; /* made since a creation here whose end is not known, maybe elsewhere */
    struct registry_aap *next, *before;
};

/* What is said of the hosts that share keys; HOST "": there are none. */
struct registry_fleet {
    char host[254]; /* this one's name among them */
    bool connected; /* what changes there is told here */
    char trouble[512]; /* why it is not, or not for certain; "": nothing is known against it */
};

/* What the mount as a whole reports; .aapfs/status and .aapfs/last_error. */
struct registry_mount {
    char account[33];   /* whose keys are served; "": not known yet */
    int64_t last_sync;  /* seconds since 1970 of the last complete listing; 0: none yet */
    uint32_t hidden;    /* AAPs whose names cannot be shown */
    uint32_t damaged;   /* files in the store that could not be read or opened */
    bool control_is_off; /* control = no: nobody may write to a control */
    bool foreign_state; /* the state directory was made on another machine */
    int64_t clock_offset_ms;
    struct registry_fleet fleet;
    struct registry_failure failure;
};

struct registry;

/* NUMBERS outlives the registry. NULL when memory is short. */
struct registry *registry_new(struct numbers *numbers);
void registry_free(struct registry *registry);

void registry_lock(struct registry *registry);
void registry_unlock(struct registry *registry);

/* Everything below: with the lock held. */

struct numbers *registry_numbers(struct registry *registry);
struct registry_mount *registry_mount(struct registry *registry);

/* The AAP of that name or number; NULL. */
struct registry_aap *registry_find_aap(struct registry *registry, const char *name);
struct registry_aap *registry_aap(struct registry *registry, uint32_t number);
/* Whether its directory is on its way out, or gone. */
bool registry_aap_leaves(const struct registry *registry, uint32_t number);
/* The first AAP, for walks along NEXT, in the order in which they became known. */
struct registry_aap *registry_first_aap(struct registry *registry);

/* The AAP of that name, added now if it was not known; NULL when there is no room. */
struct registry_aap *registry_add_aap(struct registry *registry, const char *name, const struct config_aap *config);

/*
 * Forgets AAP, with its keys and what the numbers say of its names; its directory is gone. One of that name that is
 * added later has the same number.
 */
void registry_remove_aap(struct registry *registry, struct registry_aap *aap);

/* A key's own record by its number, foreign ones too, or, within an AAP, its ClientKeyId; NULL. */
struct registry_key *registry_key(struct registry *registry, uint32_t number);
struct registry_key *registry_find_key(const struct registry_aap *aap, const char *client_key_id);
/* The key of an intent's creation; whether there is a rejected one of it. */
struct registry_key *registry_key_of_intent(const struct registry_aap *aap, uint64_t intent);
bool registry_rejected_intent(const struct registry_aap *aap, uint64_t intent);
struct registry_key *registry_find_foreign(const struct registry_aap *aap, const char *client_key_id);

/* Of the keys along NEXT the first whose directory is to be published: its number; 0: there is none. */
uint32_t registry_key_to_show(const struct registry *registry, const struct registry_key *key);

struct registry_new_key {
    const char *client_key_id, *key_algorithm, *not_before, *not_after;
    const char *request_id; /* or NULL */
    int64_t not_before_time, not_after_time, made_ns, asked;
    uint64_t intent;
    bool dates_given, adopted, scheduled;
    const char *password;     /* NULL: it is not exposed */
    struct client_key *forms; /* taken over: left empty */
};

/*
 * Adds a key to AAP without making it current; a foreign one of that id becomes it. NULL when memory or numbers are
 * short, or the AAP has a key of that id already; NEW_KEY's forms are untouched then.
 */
struct registry_key *registry_add_key(struct registry *registry, struct registry_aap *aap,
                                      const struct registry_new_key *new_key);

/*
 * Makes KEY the current one: a new generation, or the AAP's newest when that is of KEY already (an earlier worker's). Its
 * number, or 0 when there is no room.
 */
uint32_t registry_make_current(struct registry *registry, struct registry_aap *aap,
                               struct registry_key *key, int64_t now_ns);

/*
 * A new generation of the current key: what a worker publishes that does not know how far an earlier one got. Its
 * number, or the one before when there is no room.
 */
uint32_t registry_make_again(struct registry *registry, struct registry_aap *aap);

/*
 * Adds a foreign key: NEW_KEY's texts, "" where there is none, and of its forms certificate_pem. As registry_add_key.
 */
struct registry_key *registry_add_foreign(struct registry *registry, struct registry_aap *aap,
                                          const struct registry_new_key *new_key);

/*
 * Takes KEY, which must not be the current one, out of AAP. By its number it is found until it is wiped: who holds a
 * file of it may read that to its end. A foreign one is forgotten at once.
 */
void registry_remove_key(struct registry *registry, struct registry_aap *aap, struct registry_key *key);

/* The first of the keys that were removed, for walks along NEXT; wipes and forgets one of them. */
struct registry_key *registry_first_removed(struct registry *registry);
void registry_wipe_key(struct registry *registry, struct registry_key *key);

/* The time to give to a key that comes now: later than that of every key of AAP. */
int64_t registry_next_made_ns(const struct registry_aap *aap, int64_t now_ns);

/* Lists of ids; each id stands in a list once. What was added; NULL: it is there already, or memory is short. */
struct registry_id *registry_add_id(struct registry_id **list, const char *client_key_id, uint64_t intent);
/* Whether the private half of a key is here, or was seen here. */
bool registry_has_private(const struct registry_aap *aap, const char *client_key_id);
bool registry_has_id(const struct registry_id *list, const char *client_key_id);
void registry_remove_id(struct registry_id **list, const char *client_key_id);
void registry_clear_ids(struct registry_id **list);
