/*
 * Credentials that a program prints: mode External of config.json. The caller of kmsapi runs it.
 */
#pragma once

#include "kmsapi/credentials/provider.h"

int external_fetch(const struct fetching *fetching, const char *command, struct session *session,
                   char *reason, size_t size);

/* For tests apart from the program: what it prints, and its command line. */
int external_read(const char *output, struct session *session, char *reason, size_t size);

enum { WORDS_MOST = 64 };

/*
 * A command line to words, as a shell splits it, but no more than that: quotes and backslashes (one at a line's end
 * joins it with the next), nothing that is replaced. *WORDS: at least one, ended by NULL, one block to free(). -EINVAL: none
 * or an empty first one, over 64, an open quote, a backslash at the very end; -ENOMEM.
 */
int words_split(const char *line, char ***words);
