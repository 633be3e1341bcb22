/*
 * A role for an OIDC token that something else keeps fresh in a file: RRSA in Kubernetes.
 */
#include <errno.h>
#include <stdio.h>

#include "kmsapi/credentials/provider.h"
#include "kmsapi/credentials/sts.h"

int provider_oidc(const struct fetching *fetching, const char *argument, struct session *session,
                  char *reason, size_t size)
{
    static const char *const names[] = {"ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                                        "ALIBABA_CLOUD_OIDC_TOKEN_FILE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!provider_variable(names[i])) {
            snprintf(reason, size, "%s", names[i]);
            return -ENOENT;
        }
    struct sts_role role = {0};
    sts_role_complete(&role);
    return sts_assume_role_with_oidc(fetching, provider_variable(names[1]), provider_variable(names[2]),
                                     &role, session, reason, size);
}
