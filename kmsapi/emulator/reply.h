/*
 * What the emulator answers: a status and an object, sent as JSON or as a message of Protocol Buffers. Pure, any thread.
 */
#ifndef AAPFS_EMULATOR_REPLY_H
#define AAPFS_EMULATOR_REPLY_H

#include <jansson.h>

#include "kmsapi/emulator/protobuf.h"

struct reply {
    unsigned int status;
    json_t *object;              /* owned; RequestId is added when it is sent */
    const char *text;            /* in its place, as it is; or NULL */
    const struct protobuf_field *message; /* sent as this; NULL: as JSON */
    unsigned int retry_after_ms; /* x-acs-retry-after; 0: none */
};

/* A success with OBJECT (taken). */
void reply_object(struct reply *reply, json_t *object);

/* A success with TEXT, which is no JSON and outlives the reply. */
void reply_text(struct reply *reply, const char *text);

/* KMS's error envelope, in place of what the reply held. */
void reply_error(struct reply *reply, unsigned int status, const char *code, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

/* The errors that several operations share. */
void reply_not_found(struct reply *reply);
void reply_missing(struct reply *reply, const char *parameter);
void reply_invalid(struct reply *reply, const char *parameter);
void reply_no_memory(struct reply *reply);

#endif
