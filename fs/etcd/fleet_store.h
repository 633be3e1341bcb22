/*
 * What the hosts of a fleet share: keys with values, in a store that numbers each of its changes, the revision. One small
 * interface, so that another store can stand behind it, and in a test one of memory alone; etcd does (etcd.h).
 *
 * One thread, the engine's. Nothing blocks: each function begins something, and its callbacks come later, from inside
 * fleet_tend, where they may call anything here but fleet_free.
 *
 * What is read was the newest when it was read: nothing is ever told by a member of the store that may lag behind, or that
 * has lost the others.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a key with its NUL, and of a value; parts of a commit. */
enum { FLEET_KEY_SIZE = 768, FLEET_VALUE_MOST = 128 * 1024, FLEET_PARTS_MOST = 8 };

/*
 * NUMBER: ESTALE: the revision that was asked for is no more, read anew; EACCES: no password, user, role or certificate
 * that the store takes; EPROTO: TLS; ENOENT: the lease has ended; ENOSPC: the store is full; EAGAIN: it has no quorum;
 * ETIMEDOUT, ECONNREFUSED, ECONNRESET, EHOSTUNREACH: the network; EBADMSG, EMSGSIZE: no answer of a store; ENOMEM.
 */
struct fleet_error {
    int number;      /* errno, positive; 0: none */
    bool maybe_done; /* the change may have been carried out all the same: read what is there */
    char text[512];  /* one line for a person: where, what is wrong, what would be right */
};

struct fleet_entry {
    const char *key;
    const unsigned char *value; /* NULL: not asked for, or there is no such key */
    size_t size;
    int64_t create_revision, mod_revision; /* when it was made, and changed last (removed, where VERSION is 0) */
    int64_t version; /* how often it was written since it was made; 0: there is no such key */
    int64_t lease;   /* 0: none */
};

struct fleet_get {
    const char *key;
    bool prefix;    /* every key that begins so */
    bool keys_only; /* without values: what is there, and when it changed */
    unsigned int timeout_ms;
    /*
     * FOUND for each entry, of a prefix by their keys, which are all of one revision; then ENDED with that revision. After
     * an error what was found is not all.
     */
    void (*found)(void *user, const struct fleet_entry *entry);
    void (*ended)(void *user, const struct fleet_error *error, int64_t revision);
    void *user;
};

struct fleet_compare {
    const char *key;
    enum { FLEET_VERSION, FLEET_CREATE_REVISION, FLEET_MOD_REVISION } what;
    int64_t equals; /* version 0: there is no such key */
};

struct fleet_change {
    const char *key;
    const void *value; /* NULL: remove it */
    size_t size;
    int64_t lease; /* with which it goes; 0: it stays */
};

/*
 * All changes at once, if all comparisons hold; else none. At least one key is both compared and changed: so a request whose
 * answer was lost can be sent again, and is, to another member if need be. Where the first one had been carried out, its
 * comparison then fails and FOUND shows our own value: look before it is taken for somebody else's. What is made where there
 * was nothing goes with a lease if it is ever removed: a request that was held up on its way would make it again.
 */
struct fleet_commit {
    const struct fleet_compare *compares;
    size_t compare_count;
    const struct fleet_change *changes;
    size_t change_count;
    unsigned int timeout_ms;
    /* FOUND: what the compared keys hold, in their order, where the commit was not DONE; else, and after an error, NULL. */
    void (*ended)(void *user, const struct fleet_error *error, bool done, int64_t revision, const struct fleet_entry *found);
    void *user;
};

/* Until it is ended a watch goes on by itself: at another member, after a cut, for ever. */
struct fleet_watch_wish {
    const char *prefix;
    int64_t after; /* the revision up to which everything is known */
    /* A key has changed, VERSION 0: was removed. In their order; after a cut the last ones may come again. */
    void (*changed)(void *user, const struct fleet_entry *entry);
    /* Everything up to REVISION was told. */
    void (*reached)(void *user, int64_t revision);
    /* Changes were missed, and none will be told any more: end it, read anew, and watch from there. */
    void (*lost)(void *user);
    /* Nothing is told for the time being; told once for each kind of error. Number 0: it goes on. */
    void (*interrupted)(void *user, const struct fleet_error *error);
    void *user;
};

/* A lease is kept alive until it is ended; when its host dies it ends by itself, with the keys that are bound to it. */
struct fleet_lease_wish {
    unsigned int ttl_s;
    unsigned int timeout_ms; /* of the request for it */
    void (*granted)(void *user, int64_t id);
    /*
     * It was not granted, or nothing may rely on it any more: the store has no such lease, or it could not be renewed in its
     * time, counted by this machine's clock, and through its sleep, from before the request. Nothing is told any more.
     */
    void (*lost)(void *user, const struct fleet_error *error);
    void *user;
};

struct fleet_watch;
struct fleet_lease;

struct fleet_store {
    const struct fleet_store_calls *calls;
};

/* See the functions below. */
struct fleet_store_calls {
    int (*get)(struct fleet_store *store, const struct fleet_get *get);
    int (*commit)(struct fleet_store *store, const struct fleet_commit *commit);
    struct fleet_watch *(*watch)(struct fleet_store *store, const struct fleet_watch_wish *wish);
    void (*end_watch)(struct fleet_store *store, struct fleet_watch *watch);
    struct fleet_lease *(*lease)(struct fleet_store *store, const struct fleet_lease_wish *wish);
    int64_t (*lease_left_ms)(struct fleet_store *store, const struct fleet_lease *lease);
    void (*end_lease)(struct fleet_store *store, struct fleet_lease *lease);
    int (*descriptor)(struct fleet_store *store);
    int64_t (*tend)(struct fleet_store *store);
    void (*free)(struct fleet_store *store);
};

/* 0; -ENOMEM, or -EINVAL for what this header does not allow: nothing was begun, and nobody is told. Texts are copied. */
static inline int fleet_get(struct fleet_store *store, const struct fleet_get *get)
{
    return store->calls->get(store, get);
}

static inline int fleet_commit(struct fleet_store *store, const struct fleet_commit *commit)
{
    return store->calls->commit(store, commit);
}

/* NULL: memory is short. End it in any case, from a callback of its own too; then nothing is told any more. */
static inline struct fleet_watch *fleet_watch(struct fleet_store *store, const struct fleet_watch_wish *wish)
{
    return store->calls->watch(store, wish);
}

static inline void fleet_end_watch(struct fleet_store *store, struct fleet_watch *watch)
{
    store->calls->end_watch(store, watch);
}

/* The same. Ending a lease revokes it, as soon as that can be: its keys go. */
static inline struct fleet_lease *fleet_lease(struct fleet_store *store, const struct fleet_lease_wish *wish)
{
    return store->calls->lease(store, wish);
}

static inline void fleet_end_lease(struct fleet_store *store, struct fleet_lease *lease)
{
    store->calls->end_lease(store, lease);
}

/* How long the lease holds for certain; 0: it does not. To be looked at right before what only its holder may do. */
static inline int64_t fleet_lease_left_ms(struct fleet_store *store, const struct fleet_lease *lease)
{
    return store->calls->lease_left_ms(store, lease);
}

/* Readable: there is something to tend. */
static inline int fleet_descriptor(struct fleet_store *store)
{
    return store->calls->descriptor(store);
}

/* Does what is to be done, without waiting, and calls back. When to call it again, CLOCK_MONOTONIC in milliseconds. */
static inline int64_t fleet_tend(struct fleet_store *store)
{
    return store->calls->tend(store);
}

/* Nobody is told of what was under way; a lease that was not ended ends by itself. */
static inline void fleet_free(struct fleet_store *store)
{
    store->calls->free(store);
}
