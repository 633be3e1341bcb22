/*
 * Whether a text from outside tells a secret that its sender was told. Pure, any thread.
 */
#ifndef AAPFS_KMSAPI_ECHO_H
#define AAPFS_KMSAPI_ECHO_H

#include <stdbool.h>

/*
 * Whether TEXT holds 16 bytes in a row of SECRET (all of one that is shorter; NULL or "": none), as
 * they are or percent-encoded once or twice.
 */
bool echo_tells(const char *text, const char *secret);

#endif
