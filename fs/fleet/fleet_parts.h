/*
 * The inside of this room: what a host knows of its fleet, and of each AAP in it. The engine's thread.
 *
 * fleet.c: start, each turn, end; fleet_key.c: the fleet key; connection.c: the check of the fleet key, the listing and the watch; fleet_aap.c: what the
 * fleet has of an AAP; reconcile.c: the one rule; order.c: which key is later; fetch.c, push.c: what it does; outage.c: what a log is told of the store;
 * records.c, notes.c: names and texts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/base/due.h"
#include "fs/etcd/fleet_store.h"
#include "fs/fleet/records.h"
#include "fs/model/numbers.h"

struct engine;
struct operation;

/* How long a request to the fleet's store may take; how many AAPs have one under way. */
enum { FLEET_TIMEOUT_MS = 10 * 1000, FLEET_UNDER_WAY_MOST = 32 };

enum fleet_stage {
    FLEET_WAITS,     /* for the account, or until the store is asked again */
    FLEET_CHECKS,    /* whether the fleet key is the right one */
    FLEET_REFUSED,   /* it is another one, or the fleet another account's: nothing is written, and it is asked again later */
    FLEET_LISTS,     /* what there is */
    FLEET_IS_LISTED, /* and is told of every change since: keys are shared */
};

/* A client key that the fleet has, or had. Revisions are those of the last change; 0: it is not there. */
struct fleet_key {
    char id[CLIENT_KEY_ID_SIZE];
    int64_t record, tombstone;
    int64_t refused; /* a record or tombstone of that revision is of no use: it is not looked at again */
    int64_t listed;  /* KMS was asked whether it has the key, because of a tombstone of that revision */
    bool to_delete;  /* it was deleted here: the fleet is told where it has it, or gets it */
    struct fleet_key *next;
};

/* Of an AAP that is known here. */
struct fleet_aap {
    struct due_entry due; /* when it is reconciled next, CLOCK_MONOTONIC; with the AAP's number */
    bool listed;          /* what the fleet has of it is known */
    bool listing;         /* it is being read: */
    bool changed;         /* what has changed meanwhile */
    void *under_way;      /* fetch.c, push.c: a request of it, one at a time; NULL: none */
    void (*free_under_way)(void *request);
    int64_t again_ms;     /* nothing is begun before, CLOCK_MONOTONIC: this host's own disk fails */
    /* `current` */
    int64_t current_revision;
    bool current_known;       /* what it says; else it is still to be read */
    char current_id[CLIENT_KEY_ID_SIZE]; /* "": nothing that can be read */
    int64_t current_made_ns;
    struct fleet_key *keys;
    /* intents.c: the name of the intent that goes in the commit that tells its key; NULL. free() it */
    char *intent;
    /* push.c: an operation waits until its key was told to the fleet */
    struct operation *awaiting;
    void (*told_then)(struct operation *operation, bool told);
};

struct fleet {
    struct engine *engine;
    struct fleet_store *store;
    unsigned char key[SEAL_KEY_SIZE];
    bool has_key;
    char prefix[CONFIG_PREFIX_SIZE];
    char host[FLEET_ID_SIZE]; /* this mount's name among the hosts */
    char nonce[33];           /* of this worker: another one of the same host has another */
    char account[33];         /* "": not known yet */
    struct record_owner owner; /* of records */
    enum fleet_stage stage;
    bool check_is_there;      /* connection.c: it was found, and is right */
    bool lost;                /* the watch has missed changes: all is listed again */
    struct fleet_watch *watch;
    struct due due;           /* AAPs to reconcile, struct fleet_aap.due */
    unsigned int under_way;   /* requests of AAPs */
    int64_t again_ms;         /* CLOCK_MONOTONIC: nothing is asked before; 0 */
    unsigned int failures;    /* in a row */
    bool in_outage;           /* a line has said that the store does not answer */
    char trouble[512];        /* for status; "": all is well */
    bool gives_up;            /* it has failed: who awaits that a key was told goes on */
    bool refusal_told;
    int64_t next_ms;          /* CLOCK_MONOTONIC: when the connection or the store wants to be tended, as of the last turn */
    /* each has a ..._tend for each turn, and a ..._end before the store goes */
    struct fleet_lock *locks; /* lock.c */
    struct served *served;    /* served.c */
    struct hosts *hosts;      /* hosts.c */
};
