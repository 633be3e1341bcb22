/*
 * STS (2015-04-01) as far as credentials need it: AssumeRole and AssumeRoleWithOIDC. Any thread.
 */
#ifndef AAPFS_EMULATOR_STS_H
#define AAPFS_EMULATOR_STS_H

#include <stdbool.h>

#include "kmsapi/emulator/reply.h"
#include "kmsapi/emulator/request.h"
#include "kmsapi/emulator/sessions.h"

struct sts {
    struct sessions *sessions;
    const char *oidc_token_file; /* the token that is accepted, read each time; NULL: any */
};

/* Whether ACTION is one of STS's; UNSIGNED is set for one that has no signature. */
bool sts_has(const char *action, bool *is_unsigned);

/* Does what REQUEST, whose signature is good, asks for and fills REPLY. */
void sts_run(const struct sts *sts, const struct request *request, struct reply *reply);

#endif
