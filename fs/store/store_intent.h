/*
 * How a key comes into the store: it begins with an intent, which is what was asked for and room for its record, both synced
 * before a request is sent. Saving fills the room and renames it into place. The engine's thread.
 */
#pragma once

#include "fs/store/store.h"

/* What a creation has reserved; store_save or store_drop ends it. */
struct store_intent;

/* What a creation asks for. NOT_BEFORE and NOT_AFTER are "" where KMS chooses. */
struct store_wish {
    const char *aap_name, *not_before, *not_after;
    bool dates_given; /* by the user */
    int64_t made_ns;  /* now, by KMS's clock */
    bool adopted;     /* nothing is asked for: of an intent that is left nothing came */
};

/*
 * Reserves what saving a key needs, and notes WISH. 0; -ENOSPC, -EROFS, -EIO …: nothing may be sent, and nothing is
 * left behind.
 */
int store_reserve(struct store *store, const struct store_wish *wish, struct store_intent **intent);

/* By which the intent is found again; never 0. The record of its key has this number too. */
uint64_t store_intent_number(const struct store_intent *intent);

/*
 * Saves RECORD in the room of INTENT and frees that. On failure INTENT stays, to be tried again, which is of no use
 * after -EINVAL: its ClientKeyId is no name for a file; -EEXIST: there is a file of this name; -EMSGSIZE: it is
 * too large.
 */
int store_save(struct store *store, struct store_intent *intent, const struct record *record);

/*
 * Nothing was made, or is to stay: removes INTENT, and a record that store_save could not finish, and frees it. 0 or the disk's
 * errno; it is freed all the same.
 */
int store_drop(struct store *store, struct store_intent *intent);

/* Frees INTENT and leaves it on disk, without its room: whether a key was made is not known. */
void store_leave(struct store *store, struct store_intent *intent);

/* Removes an intent that was left. 0 or the disk's errno. */
int store_forget(struct store *store, uint64_t number);

/*
 * A record of AAP_NAME whose INTENT is still there may not be on the disk yet under its name: syncs that and removes
 * the intent. 0 or the disk's errno.
 */
int store_finish(struct store *store, const char *aap_name, uint64_t intent);

/* ".intent-NUMBER", ".room-NUMBER": store_load.c's as well, and so is the next. */
void store_name_of(uint64_t number, const char *kind, char name[static 64]);

/* Renames a room that is filled to PATH, in AAP_NAME's directory, which is made when it is missing. 0 or -errno. */
int store_move_room(struct store *store, const char *room, const char *aap_name, const char *path);
