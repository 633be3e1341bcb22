/*
 * Judging rejected keys again: a newer aapfs or OpenSSL may open what an older one did not. The engine's thread.
 */
#ifndef AAPFS_FS_KEYS_RECHECK_H
#define AAPFS_FS_KEYS_RECHECK_H

struct operation;

/* `retry-check`. */
void recheck_begin(struct operation *operation);

#endif
