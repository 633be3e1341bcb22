/*
 * The engine as it is, on a clock that jumps from one event to the next, and a KMS that is a table here. One simulation
 * a process. What it calls is called by the engine's thread.
 */
#ifndef AAPFS_TESTS_SIMULATED_H
#define AAPFS_TESTS_SIMULATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/config/config.h"
#include "fs/model/registry.h"
#include "kmsapi/iso_time.h"

enum { SIMULATED_AAPS = 500, SIMULATED_DAY = 86400, SIMULATED_ROTATIONS = 40, SIMULATED_KEYS = 8 };

#define SIMULATED_BEGIN INT64_C(1700000000)

struct simulated_key {
    unsigned int id; /* 0: none */
    char name[32];
    char not_before[ISO_TIME_SIZE], not_after[ISO_TIME_SIZE];
    int64_t made, end;
    bool ours, lost; /* asked for by the engine; and it was not told */
    bool first;      /* the test's */
};

struct simulated_aap {
    char name[32];
    bool creating;
    struct simulated_key keys[SIMULATED_KEYS]; /* that KMS has */
    unsigned int rotations;
    int64_t times[SIMULATED_ROTATIONS]; /* of the creations that the engine was told of; the first is a person's */
    int64_t notes[2]; /* the test's */
    bool marked;
};

extern struct simulated_aap simulated_aaps[SIMULATED_AAPS];

/* To be filled before. */
extern struct config simulated_config;

enum simulated_fault {
    FAULT_NONE,
    FAULT_BEFORE,      /* the connection breaks before the work is done, or after it: nobody can tell */
    FAULT_AFTER,
    FAULT_UNAVAILABLE,
    FAULT_SHORT,       /* a listing lacks its last key */
};

struct simulation {
    unsigned int aaps, quota;
    int64_t end; /* since 1970 */
    unsigned int (*tries)(size_t aap); /* how often a password is written to its control at the beginning; NULL: once */
    enum simulated_fault (*fault)(bool creation); /* NULL: none; of the request that is answered now */
    /* when the engine waits, before time goes on */
    void (*tick)(struct registry *registry);
    /* the engine has KMS delete this key, which is still there */
    void (*deletes)(struct simulated_aap *aap, struct simulated_key *key);
};

/* From the writing of a password to every AAP's control to the end. */
void simulate(const struct simulation *simulation);

int64_t simulated_now(void);
unsigned int simulated_count(const struct simulated_aap *aap);

/* A key that somebody makes now; NULL: there is no place. */
struct simulated_key *simulated_make(struct simulated_aap *aap, const char *not_before, const char *not_after);

#endif
