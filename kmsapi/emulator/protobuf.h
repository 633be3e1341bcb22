/*
 * Messages of Protocol Buffers, as the instance endpoint takes and gives them, to and from JSON objects. Pure, any
 * thread.
 */
#ifndef AAPFS_EMULATOR_PROTOBUF_H
#define AAPFS_EMULATOR_PROTOBUF_H

#include <stddef.h>

#include <jansson.h>

enum protobuf_type { PROTOBUF_STRING, PROTOBUF_INTEGER, PROTOBUF_BOOL };

/* A message: its fields, ended by one without a name. NAME is the member of the object. */
struct protobuf_field {
    unsigned int number; /* 1 to 15 */
    enum protobuf_type type;
    const char *name;
};

/*
 * The fields that FIELDS has, of which the last counts; others are passed over. NULL: no such message, or memory is
 * short.
 */
json_t *protobuf_read(const struct protobuf_field *fields, const char *bytes, size_t size);

/* The members that FIELDS has, an array as a repeated field. free() it; NULL when memory is short. */
char *protobuf_write(const struct protobuf_field *fields, const json_t *object, size_t *size);

#endif
