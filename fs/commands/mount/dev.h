/* A KMS of one's own for `aapfs --dev`: the emulator as a child, with a random access key. The main thread. */
#pragma once

#include <sys/types.h>

#include "fs/store/state.h"
#include "kmsapi/credentials/credentials.h"

enum { DEV_KEY_SIZE = 33 };

struct dev_kms {
    pid_t process;
    char endpoint[64];
    char access_key_id[DEV_KEY_SIZE], access_key_secret[DEV_KEY_SIZE];
    struct credentials credentials; /* points to the two above */
};

/*
 * Starts kms-emulator (beside this program, in the build folder, or from PATH) with the AAPs payments and orders, and
 * waits until it listens. It ends when this process does. 0, or negative errno, which was told.
 */
int dev_kms_start(struct dev_kms *kms);
void dev_kms_stop(struct dev_kms *kms);

/* The state of such a mount: a private directory that goes when the mount does. */
struct dev_state {
    char path[STATE_PATH_SIZE - 16];
    struct state_places places; /* both below PATH */
};

/* A new one, in $TMPDIR or /tmp. 0, or negative errno, which was told. */
int dev_state_make(struct dev_state *dev);

/* Removes it with everything in it; what cannot be removed is told. */
void dev_state_remove(const struct dev_state *dev);
