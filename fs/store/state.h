/*
 * The state directory of a mount: below it the store (store.h), beside that a lock. Opened by the process that
 * mounts, before it does; its children inherit the descriptors. The state key is not read by that process: only
 * state_make_key, state_check and state_open_store hold it for a moment, in the child that calls them.
 *
 *     DIRECTORY/.lock .machine REGION-ACCOUNT/
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fs/model/arn.h"
#include "fs/store/store.h"

enum { STATE_PATH_SIZE = 4096 };

/* Where a mount's state is, as the configuration and the environment say. */
struct state_places {
    char directory[STATE_PATH_SIZE], key[STATE_PATH_SIZE];
    bool may_make_key; /* a key that is missing is made, when nothing was sealed yet */
};

struct state {
    int directory, lock, key; /* close-on-exec; KEY -1: it is still to be made */
    char path[STATE_PATH_SIZE]; /* the directory's, for messages */
};

/*
 * DIRECTORY and KEY: as configured; NULL or empty: none. Then it is $STATE_DIRECTORY, /var/lib/aapfs for root,
 * $XDG_STATE_HOME/aapfs or ~/.local/state/aapfs for others; the key's place is state_key_place's. 0, or negative
 * errno and REASON.
 */
int state_places_find(const char *directory, const char *key, struct state_places *places, char *reason, size_t size);

/*
 * Opens the directory, made (0700) when missing, locks it, and opens the key's file. 0, or REASON and
 *   -EACCES: others could read or write one of them;
 *   -EBUSY: another aapfs uses the directory, and did not end within two seconds;
 *   -ENOKEY: there is no key and none may be made;
 *   any other errno.
 */
int state_open(const struct state_places *places, struct state *state, char *reason, size_t size);
void state_close(struct state *state);

/*
 * The same for whoever only reads what is there, beside a mount that uses it too: nothing is made, and nothing locked.
 * -ENOENT: there is no such directory; -ENOKEY: no key.
 */
int state_open_to_read(const struct state_places *places, struct state *state, char *reason, size_t size);

/* Where state->key is -1: makes the key, and (afterwards, in any process) opens it. 0, or negative errno and REASON. */
int state_make_key(const struct state_places *places, char *reason, size_t size);
int state_open_key(const struct state_places *places, struct state *state, char *reason, size_t size);

/*
 * The account whose store of REGION is here; "": none is yet. 0, or REASON and -EINVAL: stores of two accounts, or of
 * another region; any errno of the disk.
 */
int state_find_account(const struct state *state, const char *region, char account[static ACCOUNT_SIZE],
                       char *reason, size_t size);

/*
 * Whether everything is as it should be for a mount of REGION: the key opens what is here. Changes nothing. 0, or
 * negative errno and REASON.
 */
int state_check(const struct state *state, const char *region, char *reason, size_t size);

/*
 * The store of REGION and ACCOUNT, made when missing, and with the first one machine.h's note. 0, or negative errno
 * and REASON.
 */
int state_open_store(const struct state *state, const char *region, const char *account,
                     struct store **store, char *reason, size_t size);

/* The one that is there; store_look and store_read_forms are for it, and nothing that changes it. */
int state_open_store_to_read(const struct state *state, const char *region, const char *account,
                             struct store **store, char *reason, size_t size);
