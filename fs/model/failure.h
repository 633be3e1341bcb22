/*
 * The last failure of an AAP or of the mount, for last_error: beside how it is told, what it is of, so that what goes well
 * takes away the failures of its own kind and leaves those of others. With the registry's lock.
 */
#pragma once

#include <stdint.h>

#include "kmsapi/kms_error.h"

/* A command, by whichever of its verbs, or a request to KMS that is no command's alone. */
enum failure_source {
    FAILURE_CONTROL, /* a write that is no command */
    FAILURE_CREATION,
    FAILURE_DELETION,
    FAILURE_ADOPTION,
    FAILURE_RELOADED,
    FAILURE_SYNC,
    FAILURE_ROTATE_DUE,
    FAILURE_RELOAD,
    FAILURE_UPGRADE,
    FAILURE_FORGET,
    FAILURE_ADOPT_STATE,
    FAILURE_DESCRIPTION, /* of an AAP */
    FAILURE_LISTING,     /* of an AAP's keys */
    FAILURE_ONE_KEY,     /* KMS was asked for it */
    FAILURE_SOURCES,
};

struct registry_failure {
    struct kms_error error; /* number 0: there is none */
    int64_t time;           /* seconds since 1970, KMS's time */
    enum failure_source source;
};

/* ERROR is the last failure now. One of KMS's is of the request that it names, any other of SOURCE. */
void failure_set(struct registry_failure *failure, enum failure_source source, const struct kms_error *error, int64_t time);

/* Takes it away if it is of SOURCE. */
void failure_clear(struct registry_failure *failure, enum failure_source source);
