/*
 * Reads KMS's JSON answers strictly. kms.c's own. Pure, any thread.
 *
 * Each returns 0, or -EIO and ERROR (Code "Answer.Malformed"). What is returned points into OBJECT.
 */
#ifndef AAPFS_KMSAPI_KMS_ANSWER_H
#define AAPFS_KMSAPI_KMS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "kmsapi/kms.h"

/* The answer's object; json_decref it. RequestId may be missing, then it is "". */
int kms_answer_parse(const struct transport_answer *answer, json_t **object,
                     const char **request_id, struct kms_error *error);

/* The member NAME, a string; OPTIONAL: NULL where it is missing. */
int kms_answer_string(const json_t *object, const char *name, bool optional, const char **value,
                      struct kms_error *error);
int kms_answer_number(const json_t *object, const char *name, size_t *value,
                      struct kms_error *error);

/*
 * The list NAME: an array, or an object whose member ITEM is one: KMS's lists have both shapes.
 */
int kms_answer_list(const json_t *object, const char *name, const char *item, const json_t **list,
                    struct kms_error *error);

/* A client key as GetClientKey and ListClientKeys describe it. */
int kms_answer_client_key(json_t *object, struct kms_client_key *key, struct kms_error *error);

#endif
