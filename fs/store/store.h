/*
 * The keys on disk: what KMS handed out once is kept. One directory a mount, account and region, with a sealed
 * record for each key (record.h):
 *
 *     DIRECTORY/.check AAP/CLIENT_KEY_ID AAP/.CLIENT_KEY_ID.forms .intent-NUMBER .room-NUMBER
 *
 * How they come there is in store_intent.h, what is found there in store_load.h. The engine's thread. What a function
 * promises is synced, file and directory, before it returns 0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/store/forms.h"
#include "fs/store/record.h"

struct store;
struct store_file;

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
               const unsigned char key[static SEAL_KEY_SIZE], struct store **store, char *reason, size_t size);

/*
 * The same for a store that is there and may be in use: nothing is made. For store_look, store_aaps and
 * store_read_forms.
 */
int store_open_to_read(const struct store_place *place, const struct record_owner *owner,
                       const unsigned char key[static SEAL_KEY_SIZE], struct store **store, char *reason, size_t size);

void store_close(struct store *store);

/* Removes a record and its forms: its key no longer exists in KMS. -ENOENT: there is none. */
int store_remove(struct store *store, const char *aap_name, const char *client_key_id);

/* Removes whatever there is of AAP_NAME but intents. 0 or the disk's errno. */
int store_remove_aap(struct store *store, const char *aap_name);

/* One record; record_clear it. 0 or as in store_load. */
int store_read(struct store *store, const char *aap_name, const char *client_key_id, struct record *record);

/*
 * The forms of a key that was judged good (forms.h). They are not synced: missing, torn or damaged ones are an error
 * of store_read_forms, and are made again.
 */
int store_write_forms(struct store *store, const char *aap_name, const char *client_key_id, const struct forms *forms);
int store_read_forms(struct store *store, const char *aap_name, const char *client_key_id, struct forms *forms);

/*
 * A note on an AAP that is no secret: its content is whatever stands in the file .told beside its records. Missing is
 * -ENOENT; store_file_clear what was read.
 */
int store_write_note(struct store *store, const char *aap_name, const void *data, size_t size);
int store_read_note(struct store *store, const char *aap_name, struct store_file *file);
