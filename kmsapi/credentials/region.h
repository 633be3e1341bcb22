/*
 * In which region this runs, for those who were not told: from where credentials come. Reads the environment; the
 * second function blocks, for about a second where there is no ECS metadata service, and for three where
 * it does not answer. Any thread.
 */
#ifndef AAPFS_KMSAPI_REGION_H
#define AAPFS_KMSAPI_REGION_H

#include <stddef.h>

#include "kmsapi/credentials/source.h"

/* ALIBABA_CLOUD_REGION_ID, ALIBABACLOUD_REGION_ID or ALICLOUD_REGION_ID, and which; NULL: none of them is set. */
const char *region_of_environment(const char **variable);

/*
 * Into REGION: region_id of the profile in config.json, else what the ECS metadata service says; each only where
 * OPTIONS' provider would ask it for credentials. It is not checked. 0 and REASON: "the profile" or "ECS metadata"; or
 * negative errno and REASON: why neither did.
 */
int region_of_providers(const struct credentials_source_options *options, char *region, size_t room, char *reason,
                        size_t size);

#endif
