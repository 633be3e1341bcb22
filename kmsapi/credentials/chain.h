/*
 * The providers that may be asked, in their order, and which of them answered. One thread, the
 * source's; its fetch blocks.
 */
#ifndef AAPFS_KMSAPI_CHAIN_H
#define AAPFS_KMSAPI_CHAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "kmsapi/credentials/provider.h"

struct chain;

/* WANTED as credentials_source_options' provider. 0; -EINVAL and REASON: no such one; -ENOMEM. */
int chain_new(const char *wanted, struct chain **chain, char *reason, size_t size);
void chain_free(struct chain *chain);

/*
 * The one that answered last is asked first, and where it fails the others in their order, unless
 * ONLY_IT. 0; or -EACCES and REASON, which names everyone asked; -ENOMEM.
 */
int chain_fetch(struct chain *chain, const struct fetching *fetching, bool only_it,
                struct session *session, char *reason, size_t size);

/* The name of the one that answered last; NULL: none has. */
const char *chain_answered(const struct chain *chain);

#endif
