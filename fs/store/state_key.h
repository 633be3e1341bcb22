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
 * Where it is looked for, into PATH: $CREDENTIALS_DIRECTORY/aapfs.state-key if that file is there (systemd's
 * LoadCredential), else CONFIGURED (NULL: none), else the place where it is made: /etc/aapfs/state.key for root,
 * $XDG_CONFIG_HOME/aapfs/state.key or ~/.config/aapfs/state.key for others. *MAY_MAKE: it is that last one.
 * 0; -ENOENT: no home; -ENAMETOOLONG.
 */
int state_key_place(const char *configured, char *path, size_t size, bool *may_make);

/*
 * The descriptor of the file PATH, close-on-exec, unread. -ENOENT without a REASON: there is none; or REASON and
 * -EACCES: others could read or write it; -EINVAL: no plain file; any other errno.
 */
int state_key_open(const char *path, char *reason, size_t size);

/* A new key in the new file PATH, in directories (0700) made when missing; synced. 0, or REASON and an errno. */
int state_key_make(const char *path, char *reason, size_t size);

/*
 * The key in FILE; wipe it. Digits are of either case; a newline, or at most 16 blanks and line ends, may follow them. 0,
 * -EINVAL: not 64 digits; any errno of the disk.
 */
int state_key_read(int file, unsigned char key[static SEAL_KEY_SIZE]);
