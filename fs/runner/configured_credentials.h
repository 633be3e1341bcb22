/*
 * What the configuration says about credentials, as their source wants it: the same for a mount, for aapfs check, and
 * where a region is looked for. Any thread.
 */
#pragma once

#include "fs/config/config.h"
#include "fs/runner/credential_runs.h"
#include "kmsapi/credentials/source.h"

/* The texts stay CONFIG's. RUNS start the programs of profiles, which are refused where it is NULL. */
struct credentials_source_options configured_credentials(const struct config *config, struct credential_runs *runs);
