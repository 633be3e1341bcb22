/*
 * What programs share that ask KMS through kmsapi: a transport, with one access key or as it is said, and how an answer is
 * told. One thread.
 */
#pragma once

#include <stdint.h>

#include "kmsapi/kms.h"

int64_t asking_now_ms(void);

/* WORD, or NULL where it is "-". */
const char *asking_optional(const char *word);

/* Ends the program where there can be none. */
struct transport *asking_transport(struct transport_options options);

/* Its get_credentials; the user: two words, an access key's id and secret. */
int asking_key(void *user, struct credentials *credentials, char *reason, size_t size);

/* Its errno's name, or "0"; its Code, or "-". */
const char *asking_number(const struct kms_error *error);
const char *asking_code(const struct kms_error *error);
