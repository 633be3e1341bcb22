/*
 * The texts of notes (records.h): JSON, in one form alone. Strict: another member, or one of another kind, is no note. Pure,
 * any thread; jansson must wipe what it frees (wiping_memory.h).
 */
#pragma once

#include <stdint.h>

#include "fs/model/numbers.h"

/* PREFIX/check: whose fleet it is. */
struct note_check {
    char account[33], region[64];
};

/* PREFIX/aaps/AAP/current. */
struct note_current {
    char client_key_id[CLIENT_KEY_ID_SIZE];
    int64_t made_ns; /* when it was made, or, of a Scheduled one, began */
};

/* PREFIX/aaps/AAP/deleted/ID: a tombstone. */
struct note_deleted {
    int64_t time; /* KMS's, seconds since 1970 */
};

/* The text (free it); NULL: memory is short. */
char *note_check_put(const struct note_check *note);
char *note_current_put(const struct note_current *note);
char *note_deleted_put(const struct note_deleted *note);

/* 0; -EINVAL: it is none. */
int note_check_take(const char *text, struct note_check *note);
int note_current_take(const char *text, struct note_current *note);
int note_deleted_take(const char *text, struct note_deleted *note);
