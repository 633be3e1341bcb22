/*
 * Years of the engine, on a clock that jumps from one event to the next, and a KMS that is a table. One simulation a
 * process. What it calls is called by the engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/engine_rig.h"

struct simulation {
    unsigned int aaps;
    int64_t end; /* since 1970 */
    void (*configure)(struct config *config);
    unsigned int (*tries)(size_t aap);        /* how often a password is written to its control at the beginning; NULL: once */
    enum table_fault (*fault)(bool creation); /* NULL: none; of the request that is answered now */
    /* when the engine waits, before time goes on */
    void (*tick)(struct registry *registry);
    /* the engine has KMS delete this key, which is still there */
    void (*deletes)(struct table_aap *aap, struct table_key *key);
};

/* From the writing of a password to every AAP's control to the end. */
void simulate(const struct simulation *simulation);

int64_t simulated_now(void);
