/*
 * What the emulator answers: a status and an object, sent as JSON or as a message of Protocol Buffers. Pure, any thread.
 */
#pragma once

#include <stddef.h>

#include <jansson.h>

enum protobuf_type { PROTOBUF_STRING, PROTOBUF_INTEGER, PROTOBUF_BOOL };

/* A message: its fields, ended by one without a name. NAME is the member of the object. */
struct protobuf_field {
    unsigned int number; /* 1 to 15 */
    enum protobuf_type type;
    const char *name;
};

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

/*
 * The fields that FIELDS has, of which the last counts; others are passed over. NULL: no such message, or memory is
 * short.
 */
json_t *protobuf_read(const struct protobuf_field *fields, const char *bytes, size_t size);

/* The members that FIELDS has, an array as a repeated field. free() it; NULL when memory is short. */
char *protobuf_write(const struct protobuf_field *fields, const json_t *object, size_t *size);
