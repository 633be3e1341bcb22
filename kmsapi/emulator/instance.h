/*
 * The endpoint of a KMS instance, which applications call with their client key: GetSecretValue, for the secrets that
 * are known from the start. Any thread.
 */
#pragma once

#include <stdbool.h>

#include "kmsapi/emulator/account.h"
#include "kmsapi/emulator/reply.h"
#include "kmsapi/emulator/request.h"

struct instance {
    struct account *account;
    const char *const *secrets; /* NAME:VALUE each */
    size_t secret_count;
};

/* The name of what REQUEST asks for, to faults and counts; NULL: it is none of an instance. */
const char *instance_operation(const struct request *request);

void instance_run(const struct instance *instance, const struct request *request,
                  struct reply *reply);

/* Has REPLY sent as an instance does. */
void instance_dress(struct reply *reply);

/*
 * Who sent it, each failure with its own code: true for a request that a client key of ACCOUNT signed which has begun and not expired, no more than 15 minutes from
 * the emulator's time. False: REPLY holds the error.
 */
bool instance_signature_check(struct account *account, const struct request *request,
                              struct reply *reply);
