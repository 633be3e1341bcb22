/*
 * Keys that are served and could not be saved, although their room was reserved: they stay in memory and are tried
 * again until they are on the disk. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/store/store_intent.h"

struct engine;

/* The Code of a creation whose key is served and could not be saved. */
#define UNSAVED_CODE "Unsaved"

/* Keeps a copy of RECORD, which could not be saved; INTENT is taken over. 0 or -ENOMEM. */
int unsaved_keep(struct engine *engine, uint32_t aap, struct store_intent *intent, const struct record *record);

/* Tries again what is due. When to look again, CLOCK_MONOTONIC. */
int64_t unsaved_tend(struct engine *engine);

/* The record of a key that is not saved yet; NULL: it is not one of these. */
const struct record *unsaved_record(const struct engine *engine, const char *client_key_id);

/* Forgets a key that KMS no longer has. False: it is not one of these. */
bool unsaved_drop(struct engine *engine, const char *client_key_id);

/* The same of every one of AAP's, which is forgotten: they have no record, so they end here. */
void unsaved_drop_all(struct engine *engine, uint32_t aap);

/* A last try, at the engine's end. */
void unsaved_end(struct engine *engine);
