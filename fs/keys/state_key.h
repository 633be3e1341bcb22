/*
 * The key that the store is sealed with: 64 hexadecimal digits in a file of its owner's alone. At start, the main
 * thread.
 */
#ifndef AAPFS_FS_KEYS_STATE_KEY_H
#define AAPFS_FS_KEYS_STATE_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/keys/seal.h"

/*
 * Where it is looked for, into PATH: $CREDENTIALS_DIRECTORY/aapfs.state-key if that file is there (systemd's
 * LoadCredential), else CONFIGURED (NULL: none), else the place where it is made: /etc/aapfs/state.key for root,
 * $XDG_CONFIG_HOME/aapfs/state.key or ~/.config/aapfs/state.key for others. *MAY_MAKE: it is that last one.
 * 0; -ENOENT: no home; -ENAMETOOLONG.
 */
int state_key_place(const char *configured, char *path, size_t size, bool *may_make);

/*
 * Reads the key in PATH; with MAY_MAKE a missing one is made, in a directory (0700) made when missing, and
 * synced. 0; or REASON and -EACCES: others could read or write it; -EINVAL: not 64 digits and a newline; -ENOENT …
 * Wipe KEY.
 */
int state_key_read(const char *path, bool may_make, unsigned char key[static SEAL_KEY_SIZE],
                   char *reason, size_t size);

#endif
