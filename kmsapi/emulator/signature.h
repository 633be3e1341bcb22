/*
 * Who sent a request: checks the V3, V4 or V2 signature as the gateway does, each failure with its own code.
 * Any thread.
 */
#pragma once

#include <stdbool.h>

#include "kmsapi/emulator/reply.h"
#include "kmsapi/emulator/request.h"
#include "kmsapi/emulator/sessions.h"

struct signatures;

/* The one access key that is known, copied, and the sessions that are. NULL when memory is short. */
struct signatures *signatures_new(const char *access_key_id, const char *access_key_secret,
                                  struct sessions *sessions);
void signatures_free(struct signatures *signatures);

/*
 * True for a request that is signed with that key or a session, no more than 15 minutes from the emulator's
 * time, with a nonce that was not used before. False: REPLY holds the error.
 */
bool signatures_check(struct signatures *signatures, const struct request *request,
                      struct reply *reply);
