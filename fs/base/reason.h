/* Why something failed, in a text that the caller has room for: one line for a person. Pure, any thread. */
#ifndef AAPFS_FS_BASE_REASON_H
#define AAPFS_FS_BASE_REASON_H

#include <stddef.h>

/* Writes it to REASON of SIZE bytes, and returns RESULT. */
int reason_give(char *reason, size_t size, int result, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
