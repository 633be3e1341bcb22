/*
 * A word that is no sub-command: is it a mount point, or a slip?
 */
#ifndef AAPFS_FS_COMMANDS_UNKNOWN_WORD_H
#define AAPFS_FS_COMMANDS_UNKNOWN_WORD_H

#include <stdbool.h>

/* A mount point is a path, by its slash, or a directory that is there. */
bool unknown_word_is_no_place(const char *word);

/* Says on stderr that WORD is no command, and which one may be meant. The exit status. */
int unknown_word_tell(const char *word);

#endif
