/*
 * Sessions that the emulator handed out: by STS, as ECS metadata, at its credentials URI. They end
 * by the emulator's clock. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "kmsapi/emulator/reply.h"
#include "kmsapi/emulator/request.h"

enum { SESSION_SECRET_SIZE = 48 };

struct sessions;

/* LIFE_S of each; 0: as long as is asked for. NULL when memory is short. */
struct sessions *sessions_new(int64_t life_s);
void sessions_free(struct sessions *sessions);

/* The secret of ID with TOKEN (NULL: none was sent). False, and REPLY: there is none such, or no more. */
bool sessions_find(struct sessions *sessions, const char *id, const char *token,
                   char secret[static SESSION_SECRET_SIZE], struct reply *reply);

/* STS as far as credentials need it: AssumeRole and AssumeRoleWithOIDC. */
struct sts {
    struct sessions *sessions;
    const char *oidc_token_file; /* the token that is accepted, read each time; NULL: any */
};

/* Whether ACTION is one of STS's; UNSIGNED is set for one that has no signature. */
bool sts_has(const char *action, bool *is_unsigned);

/* Does what REQUEST, whose signature is good, asks for and fills REPLY. */
void sts_run(const struct sts *sts, const struct request *request, struct reply *reply);

/* What an ECS instance finds at 100.100.100.200, as far as credentials need it, and a credentials URI, /_credentials. */
struct metadata {
    struct sessions *sessions;
    const char *role, *region;
    bool only_with_token; /* IMDSv2 */
};

/* What REQUEST asks for, by the name that faults and counts know: "Metadata.Token"; NULL: nothing of this. */
const char *metadata_operation(const struct request *request);

void metadata_run(const struct metadata *metadata, const struct request *request,
                  struct reply *reply);
