#include "kmsapi/emulator/reply.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "kmsapi/cleanup.h"

void reply_object(struct reply *reply, json_t *object)
{
    json_decref(reply->object);
    *reply = (struct reply){.status = 200, .object = object};
}

void reply_text(struct reply *reply, const char *text)
{
    reply_object(reply, json_object());
    reply->text = text;
}

void reply_error(struct reply *reply, unsigned int status, const char *code, const char *format,
                 ...)
{
    _cleanup_(free) char *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&message, format, arguments) < 0)
        message = NULL;
    va_end(arguments);
    reply_object(reply, json_pack("{s:s, s:s, s:s}", "Code", code, "Message", message ? message : "",
                                  "Recommend", "https://api.alibabacloud.com/troubleshoot"));
    reply->status = status;
}

void reply_not_found(struct reply *reply)
{
    reply_error(reply, 404, "Forbidden.ResourceNotFound", "The resource is not found.");
}

void reply_missing(struct reply *reply, const char *parameter)
{
    reply_error(reply, 400, "MissingParameter",
                "The parameter \"%s\" is needed but not provided.", parameter);
}

void reply_invalid(struct reply *reply, const char *parameter)
{
    reply_error(reply, 400, "InvalidParameter", "The specified parameter \"%s\" is not valid.",
                parameter);
}

void reply_no_memory(struct reply *reply)
{
    reply_error(reply, 500, "InternalError", "The emulator is out of memory.");
}

/* -- Protocol Buffers ------------------------------------------------------------------- */

enum { WIRE_VARINT, WIRE_64_BITS, WIRE_LENGTH, WIRE_32_BITS = 5, FIELD_MOST = (1 << 29) - 1 };

struct reader {
    const unsigned char *at, *end;
};

/* One field as it lies there. */
struct value {
    uint64_t number;       /* of a varint */
    const char *bytes;     /* of what has a length */
    size_t size;
};

static bool read_varint(struct reader *reader, uint64_t *number)
{
    *number = 0;
    for (unsigned int shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint64_t byte = *reader->at++;
        if (shift == 63 && byte > 1)
            return false;
        *number |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool read_bytes(struct reader *reader, uint64_t size, struct value *value)
{
    if (size > (uint64_t)(reader->end - reader->at))
        return false;
    value->bytes = (const char *)reader->at;
    value->size = (size_t)size;
    reader->at += size;
    return true;
}

static bool read_value(struct reader *reader, unsigned int wire, struct value *value)
{
    uint64_t size;
    switch (wire) {
    case WIRE_VARINT:
        return read_varint(reader, &value->number);
    case WIRE_64_BITS:
        return read_bytes(reader, 8, value);
    case WIRE_LENGTH:
        return read_varint(reader, &size) && read_bytes(reader, size, value);
    case WIRE_32_BITS:
        return read_bytes(reader, 4, value);
    default:
        return false;
    }
}

/* NULL: not of that type, or no text. */
static json_t *value_to_json(enum protobuf_type type, unsigned int wire, const struct value *value)
{
    if (wire != (type == PROTOBUF_STRING ? WIRE_LENGTH : WIRE_VARINT))
        return NULL;
    switch (type) {
    case PROTOBUF_STRING:
        for (size_t i = 0; i < value->size; i++)
            if (value->bytes[i] == '\0')
                return NULL;
        return json_stringn(value->bytes, value->size);
    case PROTOBUF_BOOL:
        return json_boolean(value->number != 0);
    default:
        return json_integer((json_int_t)(int32_t)value->number);
    }
}

static const struct protobuf_field *find(const struct protobuf_field *fields, uint64_t number)
{
    for (; fields->name; fields++)
        if (fields->number == number)
            return fields;
    return NULL;
}

static bool read_field(const struct protobuf_field *fields, struct reader *reader, json_t *object)
{
    uint64_t key;
    struct value value = {0};
    if (!read_varint(reader, &key) || key >> 3 == 0 || key >> 3 > FIELD_MOST ||
        !read_value(reader, key & 7, &value))
        return false;
    const struct protobuf_field *field = find(fields, key >> 3);
    return !field ||
           json_object_set_new(object, field->name, value_to_json(field->type, key & 7, &value)) == 0;
}

json_t *protobuf_read(const struct protobuf_field *fields, const char *bytes, size_t size)
{
    struct reader reader = {(const unsigned char *)bytes, (const unsigned char *)bytes + size};
    json_t *object = json_object();
    bool good = object != NULL;
    while (good && reader.at < reader.end)
        good = read_field(fields, &reader, object);
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

static void write_varint(FILE *out, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        putc((int)(number & 0x7f) | 0x80, out);
    putc((int)number, out);
}

/* By the value's own type: a fault may have changed it. */
static void write_value(FILE *out, unsigned int number, const json_t *value)
{
    if (json_is_string(value)) {
        size_t size = json_string_length(value);
        write_varint(out, number << 3 | WIRE_LENGTH);
        write_varint(out, size);
        fwrite(json_string_value(value), 1, size, out);
    } else if (json_is_integer(value) || json_is_boolean(value)) {
        write_varint(out, number << 3 | WIRE_VARINT);
        write_varint(out, json_is_integer(value) ? (uint64_t)json_integer_value(value)
                                                 : json_is_true(value));
    }
}

char *protobuf_write(const struct protobuf_field *fields, const json_t *object, size_t *size)
{
    char *bytes = NULL;
    FILE *out = open_memstream(&bytes, size);
    if (!out)
        return NULL;
    for (; fields->name; fields++) {
        const json_t *value = json_object_get(object, fields->name);
        size_t i;
        const json_t *item;
        if (!json_is_array(value))
            write_value(out, fields->number, value);
        else
            json_array_foreach(value, i, item)
                write_value(out, fields->number, item);
    }
    if (fclose(out) == 0)
        return bytes;
    free(bytes);
    return NULL;
}
