/*
 * The password of a creation that nobody gives one for, as password_source says. The engine's thread.
 */
#ifndef AAPFS_FS_KEYS_PASSWORD_H
#define AAPFS_FS_KEYS_PASSWORD_H

#include <stddef.h>

#include "fs/config.h"

struct engine;

enum { PASSWORD_SIZE = 65 };

/*
 * NEWEST: the ClientKeyId whose password is kept. 0; or -EINVAL and REASON, without a byte of a password: there is none
 * that follows KMS's rules.
 */
int password_choose(struct engine *engine, const char *aap_name, const struct config_aap *config, const char *newest,
                    char password[static PASSWORD_SIZE], char *reason, size_t size);

/* The first line of the file PATH. The same results; any thread. */
int password_from_file(const char *path, char password[static PASSWORD_SIZE], char *reason, size_t size);

#endif
