/*
 * A fleet's store that is memory, and faults in it: what the engine asks for is answered when its store is tended, as etcd
 * would do it. The test is every other host. All of it while the engine stands.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/etcd/fleet_store.h"

struct memory_entry {
    char key[FLEET_KEY_SIZE];
    unsigned char *value;
    struct fleet_entry entry;
    struct memory_entry *next;
};

extern struct memory {
    struct memory_entry *entries; /* by their keys */
    int64_t revision, last_lease;
    bool holds;       /* nothing is answered, but ALLOWED more answers */
    unsigned int allowed;
    int error;        /* every request ends with that; 0: it does not */
    bool loses;       /* the next commit is carried out, and its answer lost */
    int64_t left_ms;  /* what leases have left at the most */
    unsigned int gets, commits, leases; /* that were asked for */
} memory;

/* Nothing is in it. */
void memory_clear(void);

/* For one engine. */
struct fleet_store *memory_store(void);

/* By another host. NULL: there is no such key. */
const struct memory_entry *memory_find(const char *key);
void memory_put(const char *key, const void *value, size_t size);
void memory_remove(const char *key);
unsigned int memory_count(const char *prefix);

/* Whether something waits for an answer that it gets when its store is tended. */
bool memory_is_asked(void);

/* Watches miss changes, and are told so. */
void memory_lose_watches(void);

/* All leases have ended, and with them their keys go; their holders are told, or have lost the store. */
void memory_end_leases(bool tell);
