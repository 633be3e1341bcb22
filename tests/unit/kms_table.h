/*
 * A KMS that is a table: what the engine's requests (rig_kms.h) find in it and change. All of it while the engine stands, or
 * in its thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmsapi/iso_time.h"
#include "tests/unit/rig_kms.h"

enum { TABLE_AAPS = 500, TABLE_KEYS = 8, TABLE_CREATIONS = 40 };

struct table_key {
    unsigned int id; /* 0: none */
    char name[32];
    char not_before[ISO_TIME_SIZE], not_after[ISO_TIME_SIZE];
    int64_t made, end;
    bool ours, lost; /* asked for by the engine; and it was not told */
    bool first;      /* the test's */
};

struct table_aap {
    char name[32];
    bool gone;
    bool creating;
    struct table_key keys[TABLE_KEYS];
    unsigned int creations;
    int64_t times[TABLE_CREATIONS]; /* of the creations that the engine was told of */
    int64_t notes[2];               /* the test's */
    bool marked;
};

extern struct kms_table {
    struct table_aap aaps[TABLE_AAPS];
    unsigned int aap_count, quota, last_id;
    unsigned int creations_at_once; /* of one AAP, that were asked for while another one was under way */
    /* the engine has KMS delete this key, which is still there; NULL: nobody looks */
    void (*deletes)(struct table_aap *aap, struct table_key *key);
} kms_table;

enum table_fault {
    FAULT_NONE,
    FAULT_BEFORE,      /* the connection breaks before the work is done, or after it: nobody can tell */
    FAULT_AFTER,
    FAULT_UNAVAILABLE,
    FAULT_SHORT,       /* a listing lacks its last key */
};

/* An empty one, of a quota of CONFIG_QUOTA_KEYS. */
void table_clear(void);
struct table_aap *table_add(const char *name);
struct table_aap *table_find(const char *name);

/* A key that somebody makes now; NULL: there is no place. */
struct table_key *table_make(struct table_aap *aap, const char *not_before, const char *not_after);

/* Keys of AAP. */
unsigned int table_count(const struct table_aap *aap);

/* Answers the oldest request, which there is; without rig_settle. */
void table_answer(enum table_fault fault);

/* Answers whatever waits, and what the engine asks for then, until it asks for nothing. */
void table_serve(void);

/* The same, until it asks for an OPERATION, which waits then. */
void table_serve_until(enum rig_operation operation);
