/* Writes one command to a control file of a mount, for the sub-commands. The main thread. */
#pragma once

#include <stddef.h>

/* 0 when MOUNTPOINT has AAP; else negative errno, after a line that says why it has not. */
int control_file_find(const char *mountpoint, const char *aap);

/*
 * Writes TEXT to MOUNTPOINT/AAP/control (AAP may be ".aapfs"), after making sure that a FUSE filesystem is behind it: a
 * password must not go into a plain file. On failure it says why on stderr, with what the AAP's
 * last_error tells. 0 or negative errno.
 */
int control_file_write(const char *mountpoint, const char *aap, const char *text, size_t size);

/* Prints MOUNTPOINT/AAP/client_key_id. 0 or negative errno, after a line on stderr. */
int control_file_print_id(const char *mountpoint, const char *aap);
