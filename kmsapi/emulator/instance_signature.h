/*
 * Who sent a request to the instance endpoint: checks the signature that was made with a client key, by the key's
 * certificate, as KMS instances do, each failure with its own code. Any thread.
 */
#ifndef AAPFS_EMULATOR_INSTANCE_SIGNATURE_H
#define AAPFS_EMULATOR_INSTANCE_SIGNATURE_H

#include <stdbool.h>

#include "kmsapi/emulator/account.h"
#include "kmsapi/emulator/reply.h"
#include "kmsapi/emulator/request.h"

/*
 * True for a request that a client key of ACCOUNT signed which has begun and not expired, no more than 15 minutes from
 * the emulator's time. False: REPLY holds the error.
 */
bool instance_signature_check(struct account *account, const struct request *request,
                              struct reply *reply);

#endif
