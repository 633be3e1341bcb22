/*
 * The JSON in which sessions are handed out: by STS, the ECS metadata service, a credentials URI
 * and external programs. Pure, any thread; all of it is hostile.
 */
#ifndef AAPFS_KMSAPI_SESSION_ANSWER_H
#define AAPFS_KMSAPI_SESSION_ANSWER_H

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

/*
 * The session in {"AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"}; a Code that is
 * there says "Success". NOW: the sender's time, seconds since 1970, or ours. 0, or negative errno
 * and REASON: what is missing or wrong, or that it is over already.
 */
int session_answer_read(const json_t *object, int64_t now, struct session *session, char *reason,
                        size_t size);

/* How long a session lasts that ends at EXPIRATION (ISO 8601, UTC). 0, or -EINVAL and REASON. */
int session_answer_life(const char *expiration, int64_t now, int64_t *life_s, char *reason,
                        size_t size);

/* The same of a whole answer, its Date taken for the time: a second less, which it left out. */
struct http_answer;
int session_answer_read_http(const struct http_answer *answer, struct session *session,
                             char *reason, size_t size);
int64_t session_answer_now(const struct http_answer *answer);

#endif
