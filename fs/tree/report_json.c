#include "fs/tree/report_json.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "kmsapi/iso_time.h"

void report_set(json_t **object, const char *name, json_t *value)
{
    if (*object && json_object_set_new(*object, name, value) == 0)
        return;
    if (!*object)
        json_decref(value);
    json_decref(*object);
    *object = NULL;
}

json_t *report_text(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

json_t *report_time(int64_t seconds)
{
    char text[ISO_TIME_SIZE];
    return seconds > 0 && iso_time_format(seconds, text) == 0 ? json_string(text) : json_null();
}

/* Not json_dumps: what that returns has jansson's allocator to be freed with. */
char *report_dump(const json_t *value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    bool good = json_dumpf(value, stream, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
                fputc('\n', stream) != EOF;
    if (fclose(stream) == 0 && good)
        return text;
    free(text);
    return NULL;
}
