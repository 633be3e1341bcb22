/*
 * Reads KMS's answers: strict about what is needed, indifferent to everything else. kms.c's own. Pure, any thread.
 *
 * What returns int returns 0, or -EIO and ERROR (Code "Answer.Malformed"). What is returned points into OBJECT.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "kmsapi/kms.h"

/*
 * The answer's object; json_decref it, also after a failure. KNOWN (NULL ends) and RequestId: its members, of which one at least is
 * there, be it null, or it is somebody else's answer; an object without any members says that KMS has nothing to say.
 */
int kms_answer_parse(const struct transport_answer *answer, const char *const *known, json_t **object,
                     struct kms_error *error);

/* The same of an answer with a new client key, which comes once: what of NAMES can be made out in whatever came is taken. */
int kms_answer_parse_key(const struct transport_answer *answer, const char *const *names, json_t **object,
                         struct kms_error *error);

/* The member NAME; "": it is missing, or no string that can be used. */
const char *kms_answer_text(const json_t *object, const char *name);

/* The member NAME, a string that is not empty. */
int kms_answer_string(const json_t *object, const char *name, const char **value, struct kms_error *error);

/* Whether the member NAME is a count, and which. */
bool kms_answer_number(const json_t *object, const char *name, size_t *value);

/*
 * The list NAME: an array, or an object whose member ITEM is one: KMS's lists have both shapes. NULL: there is nothing to
 * list, and so it is null or left out.
 */
int kms_answer_list(const json_t *object, const char *name, const char *item, const json_t **list,
                    struct kms_error *error);

/* A client key as GetClientKey and ListClientKeys describe it: its id, and "" for what else is not told. */
int kms_answer_client_key(json_t *object, struct kms_client_key *key, struct kms_error *error);
