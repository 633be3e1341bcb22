/* What the reports that are JSON are made with. Pure, any thread. */
#pragma once

#include <stdint.h>

#include <jansson.h>

/* Every member is set through this, so that one failure makes the whole object fail: *OBJECT is NULL then. */
void report_set(json_t **object, const char *name, json_t *value);

/* null for NULL and "". */
json_t *report_text(const char *text);

/* A time in seconds since 1970; null for 0. */
json_t *report_time(int64_t seconds);

/* As text with a newline, malloc'ed; NULL when memory is short. */
char *report_dump(const json_t *value);
