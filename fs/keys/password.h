/* The password of a creation that nobody gives one for, as password_source says, or first_key. The engine's thread. */
#pragma once

#include "fs/config/config.h"

struct operation;

enum { PASSWORD_SIZE = 65 };

/* RESULT 0: OPERATION has its password. Or -EINVAL and REASON, without a byte of one. */
typedef void password_chosen(struct operation *operation, int result, const char *reason);

/*
 * Gives OPERATION a password that follows KMS's rules and calls CHOSEN, before it returns or later. NEWEST: the
 * ClientKeyId whose password is kept; "": it is the AAP's first key.
 */
void password_choose(struct operation *operation, const char *aap_name, const struct config_aap *config, const char *newest,
                     password_chosen *chosen);
