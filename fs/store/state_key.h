/*
 * The key that the store is sealed with: 64 hexadecimal digits in a file of its owner's alone. Any thread.
 *
 * Its file is opened before mounting and stays open: whoever needs the key reads it from the descriptor and wipes
 * it, and a process that does not need it never holds it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fs/store/seal.h"

/*
 * Where a key of this form is that somebody gave, into PATH: $CREDENTIALS_DIRECTORY/CREDENTIAL if that file is there (systemd's
 * LoadCredential), else CONFIGURED (NULL: none). 0; -ENOENT: nobody did; -ENAMETOOLONG.
 */
int state_key_given(const char *credential, const char *configured, char *path, size_t size);

/*
 * Where the state key is looked for, into PATH: as given, with the credential aapfs.state-key, else the place where it
 * is made: /etc/aapfs/state.key for root, $XDG_CONFIG_HOME/aapfs/state.key or ~/.config/aapfs/state.key for others.
 * *MAY_MAKE: it is that last one. 0; -ENOENT: no home; -ENAMETOOLONG.
 */
int state_key_place(const char *configured, char *path, size_t size, bool *may_make);

/* secret_file_open, without links. */
int state_key_open(const char *path, char *reason, size_t size);

/* A new key in the new file PATH, in directories (0700) made when missing; synced. 0, or REASON and an errno. */
int state_key_make(const char *path, char *reason, size_t size);

/*
 * The key in FILE; wipe it. Digits are of either case; a newline, or at most 16 blanks and line ends, may follow them. 0,
 * -EINVAL: not 64 digits; any errno of the disk.
 */
int state_key_read(int file, unsigned char key[static SEAL_KEY_SIZE]);
