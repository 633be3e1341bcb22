/*
 * The texts of notes (records.h): JSON, in one form alone. Strict: another member, or one of another kind, is no note. Pure,
 * any thread; jansson must wipe what it frees (wiping_memory.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/fleet/records.h"
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

enum { NOTE_NONCE_SIZE = 33 };

/* PREFIX/locks/AAP: who holds it. */
struct note_lock {
    char host[FLEET_ID_SIZE];
    char nonce[NOTE_NONCE_SIZE]; /* of its worker */
    int64_t since;               /* KMS's time, seconds since 1970 */
};

/* PREFIX/hosts/HOST: it is there. */
struct note_presence {
    char nonce[NOTE_NONCE_SIZE];
    int64_t since;
    bool reported; /* what it serves of each of its AAPs stands below PREFIX/served/: where nothing does, it serves nothing */
};

/* PREFIX/served/AAP/HOST: which key its readers see. */
struct note_served {
    char nonce[NOTE_NONCE_SIZE]; /* another one than the host's presence has: it may not have that AAP any more */
    char client_key_id[CLIENT_KEY_ID_SIZE];
    int64_t made_ns; /* as in note_current */
    int64_t since;
    char notified[CLIENT_KEY_ID_SIZE]; /* of which its applications were told last; "": of none */
};

/* The text (free it); NULL: memory is short. */
char *note_check_put(const struct note_check *note);
char *note_current_put(const struct note_current *note);
char *note_deleted_put(const struct note_deleted *note);
char *note_lock_put(const struct note_lock *note);
char *note_presence_put(const struct note_presence *note);
char *note_served_put(const struct note_served *note);

/* 0; -EINVAL: it is none. */
int note_check_take(const char *text, struct note_check *note);
int note_current_take(const char *text, struct note_current *note);
int note_deleted_take(const char *text, struct note_deleted *note);
int note_lock_take(const char *text, struct note_lock *note);
int note_presence_take(const char *text, struct note_presence *note);
int note_served_take(const char *text, struct note_served *note);
