/*
 * Which AAPs there are: from the configuration, or as KMS lists them, now and again every sync_interval. What is new
 * gets a directory. One that a complete listing no longer names goes if nothing of it is here that KMS handed out;
 * of any other KMS itself is asked (client_keys.c). Then each AAP's keys are listed: the walk.
 *
 * Complete is a sync whose list of AAPs came; where they are named in the configuration, one in which KMS answered for
 * each of them. That something is not permitted is an answer: no later sync would learn more. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct operation;

/* Before anything else here and in client_keys.c. False: memory is short. */
bool sync_start(struct engine *engine);

/* A listing; OPERATION, which may be NULL, ends with it. */
void sync_begin(struct engine *engine, struct operation *operation);

/* A listing now, or after the one that is under way. */
void sync_soon(struct engine *engine);

/* Lists again when it is time. When to look again, CLOCK_MONOTONIC. */
int64_t sync_tend(struct engine *engine);

void sync_end(struct engine *engine);
