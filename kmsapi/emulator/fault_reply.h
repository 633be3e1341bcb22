/*
 * Faults that are answers: instead of KMS's, or made of it. Pure, any thread.
 */
#ifndef AAPFS_EMULATOR_FAULT_REPLY_H
#define AAPFS_EMULATOR_FAULT_REPLY_H

#include <stdbool.h>

#include "kmsapi/emulator/faults.h"
#include "kmsapi/emulator/reply.h"
#include "kmsapi/emulator/request.h"

/* True: REPLY holds an error, and nothing is to be done for REQUEST. */
bool fault_reply_refuse(const struct fault *fault, const struct request *request,
                        struct reply *reply);

/* Breaks a good answer. */
void fault_reply_break(enum fault_kind fault, struct reply *reply);

#endif
