/*
 * What a provider of credentials is: a function that fetches them once. They run on the source's
 * own thread and may block for as long as their timeouts say.
 *
 * Sources: Alibaba Cloud SDKs' default chain; their documentation of config.json, of
 * ~/.alibabacloud/credentials, of STS and of the ECS metadata service.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmsapi/credentials/credentials.h"
#include "kmsapi/credentials/source.h"

/* What a fetch may use. */
struct fetching {
    const struct credentials_source_options *options;
    int given_up; /* readable: the source is being freed, requests end at once */
    int64_t *clock_offset_s; /* STS's time minus ours, where one of its answers taught it */
};

struct session {
    struct credentials credentials;
    int64_t life_s; /* from the moment the fetch began, rounded down; 0: for ever */
};

/*
 * ARGUMENT: what follows the provider's name and a colon, or NULL. 0; -ENOENT: not set up here, and
 * REASON is the name of what is missing; -ENOMEM; any other negative errno: it failed, and REASON
 * says why, never with a secret.
 */
typedef int provider_fetch(const struct fetching *fetching, const char *argument,
                           struct session *session, char *reason, size_t size);

provider_fetch provider_systemd, provider_environment, provider_oidc, provider_cli_profile,
    provider_credentials_file, provider_ecs_ram_role, provider_uri;

/*
 * The region of the profile ARGUMENT (NULL: of the one that holds) in config.json, and that of the ECS instance; not
 * checked. 0, or negative errno and REASON.
 */
typedef int provider_region(const struct fetching *fetching, const char *argument, char *region, size_t room,
                            char *reason, size_t size);

provider_region cli_profile_region, ecs_region;

/* Whether nobody waits for this any more. */
bool provider_given_up(const struct fetching *fetching);

/* The pauses between tries of one fetch that failed in passing. */
struct again {
    int64_t began_ms; /* CLOCK_MONOTONIC */
    unsigned int count;
};

struct again again_begin(void);

/*
 * True, after a pause, where another try is worth while: at most three, none of them begun so late
 * that whoever waits for the credentials has given up. False at once where nobody waits any more.
 */
bool again_after_pause(struct again *again, const struct fetching *fetching);

/* A variable that is set and not empty, or NULL. */
const char *provider_variable(const char *name);

/* Whether the variable NAME says "true", in letters of either case. */
bool provider_switch(const char *name);

/* A file below the home directory, malloc'ed; NULL when there is no home or memory is short. */
char *provider_home_file(const char *name);
