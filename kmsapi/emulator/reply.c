#include "kmsapi/emulator/reply.h"

#include <stdarg.h>
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
