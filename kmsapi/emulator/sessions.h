/*
 * Sessions that the emulator handed out: by STS, as ECS metadata, at its credentials URI. They end
 * by the emulator's clock. Any thread.
 */
#ifndef AAPFS_EMULATOR_SESSIONS_H
#define AAPFS_EMULATOR_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "kmsapi/emulator/reply.h"

enum { SESSION_SECRET_SIZE = 48 };

struct sessions;

/* LIFE_S of each; 0: as long as is asked for. NULL when memory is short. */
struct sessions *sessions_new(int64_t life_s);
void sessions_free(struct sessions *sessions);

/*
 * A new one, as {"AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"}; NULL when memory is
 * short.
 */
json_t *sessions_issue(struct sessions *sessions, int64_t asked_s);

/* The secret of ID with TOKEN (NULL: none was sent). False, and REPLY: there is none such, or no more. */
bool sessions_find(struct sessions *sessions, const char *id, const char *token,
                   char secret[static SESSION_SECRET_SIZE], struct reply *reply);

#endif
