/*
 * One HTTP request as it arrived, and decoded. Its owner's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "kmsapi/acs3.h"

struct pairs {
    struct acs3_pair *items; /* the strings are owned too */
    size_t count;
};

struct request {
    char *method;
    char *url;            /* as on the request line: path and query */
    char *path;           /* as on the request line, not decoded */
    struct pairs query;   /* decoded */
    struct pairs form;    /* of a form body; empty until request_read_form */
    struct pairs headers;
    char *body;           /* NUL-terminated */
    size_t body_size;
};

/* 0, -ENOMEM, or -EINVAL for a query that is not percent-encoded text. */
int request_set_url(struct request *request, const char *method, const char *url);
int request_add_header(struct request *request, const char *name, const char *value);
/* -EMSGSIZE beyond a mebibyte. */
int request_add_body(struct request *request, const char *data, size_t size);
/* Decodes a body of content-type application/x-www-form-urlencoded; any other is left alone. */
int request_read_form(struct request *request);
void request_clear(struct request *request);

/* NULL: not there. */
const char *request_header(const struct request *request, const char *name);
/* A parameter of the query, or of the form. */
const char *request_parameter(const struct request *request, const char *name);

/* What is asked for and of which API version: x-acs-action and x-acs-version or, as V2 has it, parameters. NULL: none. */
const char *request_action(const struct request *request);
const char *request_version(const struct request *request);

/* Whether it is signed the older way, with parameters and no Authorization. */
bool request_is_v2(const struct request *request);

/* The whole request for a record, as an object; NULL when memory is short. */
json_t *request_to_json(const struct request *request);
