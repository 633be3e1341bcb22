/*
 * What KMS says of the AAPs' client keys: ListClientKeys of one AAP after the other, one request at a time, each at
 * the pace of what nobody waits for. Feeds doubts.c (orphans, candidates) and foreign_keys.c, and finds out which keys
 * KMS no longer has. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/model/registry.h"
#include "kmsapi/kms.h"
#include "kmsapi/kms_error.h"

struct engine;

/* Who has the AAPs listed; called from client_keys_walk, client_keys_forget and client_keys_tend. */
struct client_keys_walker {
    void (*failed)(struct engine *engine, const struct kms_error *error); /* the walk's turn of one AAP */
    void (*ended)(struct engine *engine);                                 /* every AAP of the walk had its turn */
    void (*answered)(struct engine *engine);                              /* a turn that belongs to no walk is over */
    bool (*is_awaited)(const struct engine *engine);                      /* somebody waits for the walk's end */
};

/* Before anything else here. WALKER stays the caller's. False: memory is short. */
bool client_keys_start(struct engine *engine, const struct client_keys_walker *walker);

/* Every AAP's keys are to be listed, now. */
void client_keys_walk(struct engine *engine);

/* Whether AAPs of the last walk still have to be listed. */
bool client_keys_are_walking(const struct engine *engine);

/* Whether the last listing of each AAP came, or is not permitted. */
bool client_keys_have_all(const struct engine *engine);

/* Whether AAP is the one whose keys are being listed. */
bool client_keys_is_of(const struct engine *engine, uint32_t aap);

/* AAP is gone. */
void client_keys_forget(struct engine *engine, uint32_t aap);

/* Goes on. When to look again, CLOCK_MONOTONIC. */
int64_t client_keys_tend(struct engine *engine);

void client_keys_end(struct engine *engine);
