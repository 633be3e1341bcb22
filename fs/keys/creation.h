/*
 * One creation, from the password to the publication. The engine's thread.
 */
#ifndef AAPFS_FS_KEYS_CREATION_H
#define AAPFS_FS_KEYS_CREATION_H

struct operation;

/* `create`: with the password and the dates of the operation's command. */
void creation_begin(struct operation *operation);

#endif
