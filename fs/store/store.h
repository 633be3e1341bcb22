/*
 * The keys on disk: what KMS handed out once is kept. One directory a mount, account and region, with a sealed
 * record for each key (record.h):
 *
 *     DIRECTORY/.check AAP/CLIENT_KEY_ID AAP/.CLIENT_KEY_ID.forms .intent-NUMBER .room-NUMBER
 *
 * A creation begins with an intent: what was asked for, and room for its record, both synced before a request
 * is sent. Saving fills the room and renames it into place. The engine's thread.
 *
 * What a function promises is synced, file and directory, before it returns 0.
 */
#ifndef AAPFS_FS_STORE_STORE_H
#define AAPFS_FS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/store/forms.h"
#include "fs/store/record.h"

struct store;
struct store_file;

/* What a creation has reserved; store_save or store_drop ends it. */
struct store_intent;

/* The directory NAME in the directory ABOVE (open, path ABOVE_PATH), which the caller keeps to itself by a lock. */
struct store_place {
    int above;
    const char *name, *above_path;
};

/*
 * Opens the store at PLACE, made (0700) when missing, under KEY. 0; or REASON and
 *   -EACCES: others could read or write it, or it is not ours;
 *   -EKEYREJECTED: it was made under another key, account or region: nothing was changed;
 *   any other errno of the disk.
 */
int store_open(const struct store_place *place, const struct record_owner *owner,
               const unsigned char key[static SEAL_KEY_SIZE], struct store **store, char *reason,
               size_t size);

/*
 * The same for a store that is there and may be in use: nothing is made. For store_look, store_aaps and
 * store_read_forms.
 */
int store_open_to_read(const struct store_place *place, const struct record_owner *owner,
                       const unsigned char key[static SEAL_KEY_SIZE], struct store **store,
                       char *reason, size_t size);

/* Whether store_open would open what is there, as far as that can be known without changing anything. */
int store_check(const struct store_place *place, const struct record_owner *owner,
                const unsigned char key[static SEAL_KEY_SIZE], char *reason, size_t size);

void store_close(struct store *store);

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

/* By which the intent is found again; never 0. The record that comes of it has this number too. */
uint64_t store_intent_number(const struct store_intent *intent);

/*
 * Saves RECORD in the room of INTENT and frees that. On failure INTENT stays, to be tried again, which is of no use
 * after -EINVAL: its ClientKeyId is no name for a file; -EEXIST: there is a file of this name; -EMSGSIZE: it is
 * too large.
 */
int store_save(struct store *store, struct store_intent *intent, const struct record *record);

/* Nothing was made: removes INTENT and frees it. 0 or the disk's errno; it is freed all the same. */
int store_drop(struct store *store, struct store_intent *intent);

/* Frees INTENT and leaves it on disk, without its room: whether a key was made is not known. */
void store_leave(struct store *store, struct store_intent *intent);

/* Removes an intent that was left. 0 or the disk's errno. */
int store_forget(struct store *store, uint64_t number);

/* Removes a record and its forms: its key no longer exists in KMS. -ENOENT: there is none. */
int store_remove(struct store *store, const char *aap_name, const char *client_key_id);

/* Removes whatever there is of AAP_NAME but intents. 0 or the disk's errno. */
int store_remove_aap(struct store *store, const char *aap_name);

/*
 * What stands in the store. ERROR 0: RECORD is a key, or with an empty client_key_id an intent: one that was left,
 * or whose record was saved when its worker died (store_finish it).
 * Else RECORD is NULL, and PATH (below the directory) could not be read or opened; it stays where it is.
 */
typedef void store_found(void *user, const struct record *record, const char *path, int error);

/* What such an ERROR means, for a line to a person. */
const char *store_error_text(int error);

/* Calls FOUND for everything, keys before intents. 0, or the errno with which the directory itself cannot be listed. */
int store_load(struct store *store, store_found *found, void *user);

/*
 * Calls FOUND for the keys of one AAP, those that were received and not put in their place yet too. Changes nothing,
 * and bears a mount that uses the store meanwhile. 0, or an errno of the disk: what can be read was told.
 */
int store_look(struct store *store, const char *aap_name, store_found *found, void *user);

/* Calls TOLD for the name of each AAP with a file in it, in their order. 0 or negative errno. */
int store_aaps(struct store *store, void (*told)(void *user, const char *aap_name), void *user);

/* One record again; record_clear it. 0 or as in store_load. */
int store_read(struct store *store, const char *aap_name, const char *client_key_id,
               struct record *record);

/*
 * A record of AAP_NAME whose INTENT is still there may not be on the disk yet under its name: syncs that and removes
 * the intent. 0 or the disk's errno.
 */
int store_finish(struct store *store, const char *aap_name, uint64_t intent);

/*
 * The forms of a key that was judged good (forms.h). They are not synced: missing, torn or damaged ones are an error
 * of store_read_forms, and are made again.
 */
int store_write_forms(struct store *store, const char *aap_name, const char *client_key_id,
                      const struct forms *forms);
int store_read_forms(struct store *store, const char *aap_name, const char *client_key_id,
                     struct forms *forms);


/*
 * A note on an AAP that is no secret: its content is whatever stands in the file .told beside its records. Missing is
 * -ENOENT; store_file_clear what was read.
 */
int store_write_note(struct store *store, const char *aap_name, const void *data, size_t size);
int store_read_note(struct store *store, const char *aap_name, struct store_file *file);

#endif
