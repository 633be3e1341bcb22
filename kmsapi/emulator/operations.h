/*
 * KMS's operations (2016-01-20) on an account: parameters, quotas and answers as the service has
 * them. Any thread.
 */
#pragma once

#include "kmsapi/emulator/account.h"
#include "kmsapi/emulator/faults.h"
#include "kmsapi/emulator/key_maker.h"
#include "kmsapi/emulator/reply.h"
#include "kmsapi/emulator/request.h"

/* A span of time: calendar years and seconds beside them. */
struct span {
    unsigned int years;
    int64_t seconds;
};

struct operations {
    struct account *account;
    const char *account_id; /* digits */
    const char *region;
    struct key_maker *key_maker;
    struct span min_validity; /* from NotBefore on */
    unsigned int max_keys;    /* of an AAP, expired ones too; 0: any number */
};

/* Does what REQUEST asks for and fills REPLY. Of FAULT, only what changes the key made counts. */
void operations_run(const struct operations *operations, const struct request *request,
                    enum fault_kind fault, struct reply *reply);

/* An AAP as --aap makes it: no policies. False: it exists, or the name is not one. */
bool operations_add_aap(const struct operations *operations, const char *name);
