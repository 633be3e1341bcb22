/*
 * Sessions from STS (2015-04-01): AssumeRole, signed with credentials as V2 has it, and
 * AssumeRoleWithOIDC, with a token instead. Blocks; the source's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kmsapi/credentials/provider.h"

/* The texts that are not set are NULL. */
struct sts_role {
    const char *arn;
    const char *session_name; /* NULL: "aapfs-" and the time */
    int64_t duration_s;       /* 0: 3600 */
    const char *policy, *external_id;
    const char *region;       /* NULL: the endpoint of all regions */
    bool vpc;
    const char *endpoint;     /* a host; NULL: by region */
};

/* What ROLE does not say and the environment does, as in the SDKs: ALIBABA_CLOUD_ROLE_ARN, _ROLE_SESSION_NAME, _STS_REGION. */
void sts_role_complete(struct sts_role *role);

int sts_assume_role(const struct fetching *fetching, const struct credentials *credentials,
                    const struct sts_role *role, struct session *session, char *reason, size_t size);

/* TOKEN_FILE is read anew each time: who put it there renews it. */
int sts_assume_role_with_oidc(const struct fetching *fetching, const char *provider_arn,
                              const char *token_file, const struct sts_role *role,
                              struct session *session, char *reason, size_t size);
