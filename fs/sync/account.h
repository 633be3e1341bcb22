/*
 * Whose keys are served. An AAP's Arn tells the account, and only Describe tells the Arn. The first account that is
 * learnt gets a store; a later start compares. No key is made before that.
 *
 * Where KMS forbids Describe and there is a store, its account is taken to be ours; each creation and each sync asks
 * again, for this may have been permitted meanwhile. The engine's thread.
 */
#pragma once

#include <stdbool.h>

#include "kmsapi/kms_error.h"

struct engine;
struct operation;

/* Opens the account's store, where there is one. Before the engine's thread; 0, or negative errno after a line. */
int account_start(struct engine *engine);
void account_end(struct engine *engine);

/*
 * Goes on with THEN when KMS has told that the store is the credentials' account's, and, where it can be told, whether
 * the AAP has client keys; else ends the operation.
 */
void account_require(struct operation *operation, void (*then)(struct operation *operation));

/*
 * Whether that still holds, after KMS was asked for other things: an answer to somebody else may have told of another
 * account. False: OPERATION has ended with that.
 */
bool account_holds(struct operation *operation);

/* Asks KMS for the account, by the AAP of that name; TOLD is called then, once. False: memory is short. */
bool account_learn(struct engine *engine, const char *aap_name, void (*told)(struct engine *, const struct kms_error *error));

/* Whether what is sent goes to the store's account, as far as can be known; whether KMS itself has told so, or refuses to. */
bool account_may_send(const struct engine *engine);
bool account_is_known(const struct engine *engine);
bool account_is_assumed(const struct engine *engine);

/* Whether it has told that the credentials are another account's or region's: what is listed is not ours then; the error. */
bool account_is_other(const struct engine *engine);
const struct kms_error *account_error(const struct engine *engine);

/* The store's; "": there is none yet. */
const char *account_name(const struct engine *engine);
