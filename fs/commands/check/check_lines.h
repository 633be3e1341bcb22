/* What the looks of aapfs check have found, and the lines in which they say it. The main thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fs/config/config.h"
#include "fs/model/arn.h"
#include "fs/runner/credential_runs.h"
#include "kmsapi/credentials/source.h"

struct check_aap {
    char *name;
    bool ram_role; /* it is used with a RAM role, says KMS: there are no client keys */
};

struct check {
    const struct config *config;
    const char *mountpoint;
    bool colours;
    struct credential_runs *runs; /* NULL: there is no runner */
    unsigned int errors;           /* lines of this kind */
    char account[ACCOUNT_SIZE];    /* whose keys the state directory has; "": none */
    bool reachable;                /* KMS, as far as the network goes */
    struct credentials_source *source; /* it says who we are; NULL: none does */
    struct check_aap *aaps;        /* those that can be shown, as configured or listed */
    size_t aap_count;
    bool aaps_listed;              /* by KMS, completely */
};

/* A line about SUBJECT. What comes from outside may stand in it. */
void check_ok(struct check *check, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_warning(struct check *check, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_error(struct check *check, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
