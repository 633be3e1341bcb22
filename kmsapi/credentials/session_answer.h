/*
 * The JSON in which sessions are handed out: by STS, the ECS metadata service, a credentials URI
 * and external programs. Pure, any thread; all of it is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "kmsapi/credentials/provider.h"

/* One object, without repeated members; NULL and REASON otherwise. */
json_t *session_answer_parse(const char *text, size_t text_size, char *reason, size_t size);

/*
 * *VALUE is the member NAME as a string; NULL where it is missing or null. 0, or -EINVAL and
 * REASON for another type.
 */
int session_answer_string(const json_t *object, const char *name, const char **value, char *reason,
                          size_t size);

/* What two clocks say, seconds since 1970. */
struct session_clocks {
    int64_t sender; /* 0: it told no time */
    int64_t ours;
};

/*
 * The session in {"AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"}, or an access key whose SecurityToken
 * is empty; a Code that is there says "Success". 0, or negative errno and REASON: what is missing or wrong, or that it is
 * over already.
 */
int session_answer_read(const json_t *object, struct session_clocks clocks, struct session *session, char *reason,
                        size_t size);

/*
 * How long a session lasts that ends at EXPIRATION (as iso_time_parse_foreign reads it), by the sender's clock; by ours where that told
 * nothing, or stands more than a day back while ours still sees the end ahead. 0, or -EINVAL and REASON: it is over, and
 * by which clock.
 */
int session_answer_life(const char *expiration, struct session_clocks clocks, int64_t *life_s, char *reason,
                        size_t size);

/* The same of a whole answer, its Date taken for the sender's clock: a second less, which it left out. */
struct http_answer;
int session_answer_read_http(const struct http_answer *answer, struct session *session,
                             char *reason, size_t size);
struct session_clocks session_answer_clocks(const struct http_answer *answer);
