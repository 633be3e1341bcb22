/*
 * The providers that may be asked, in their order, and which of them answered. One thread, the
 * source's; its fetch blocks.
 */
#pragma once

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

/* ALIBABA_CLOUD_REGION_ID, ALIBABACLOUD_REGION_ID or ALICLOUD_REGION_ID, and which; NULL: none of them is set. */
const char *chain_region_variable(const char **variable);

/*
 * Into REGION: region_id of the profile in config.json, else what the ECS metadata service says; each only where
 * OPTIONS' provider would ask it for credentials. It is not checked. 0 and REASON: "the profile" or "ECS metadata"; or
 * negative errno and REASON: why neither did. Any thread; blocks for about a second where there is no ECS metadata service,
 * and for three where it does not answer.
 */
int chain_region(const struct credentials_source_options *options, char *region, size_t room, char *reason,
                 size_t size);
