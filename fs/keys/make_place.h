/*
 * A creation needs a place (places.h). Where none is free by what is known here, KMS is asked first for its list of this
 * AAP's keys, for others make and delete some as well; then one key after the other is deleted, as the rules say and no
 * more than needed. Where KMS says that there is no place although one seemed free, the same once. The engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kmsapi/kms_error.h"

struct engine;
struct operation;

/* Goes on with THEN when the AAP has a place for one more key; else ends the operation. */
void place_require(struct operation *operation, void (*then)(struct operation *operation));

/* KMS has refused a creation with ERROR. True: for want of a place, and the operation goes on with finding one. */
bool place_is_refused(struct operation *operation, const struct kms_error *error);

/* From superseded.c: a deletion that nobody asked for has ended. */
void place_deleted(struct engine *engine, uint32_t aap, int result);
