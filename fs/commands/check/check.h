/*
 * aapfs check: groups of looks at what a mount needs, each of which prints its lines. None of them changes anything.
 * The main thread.
 */
#ifndef AAPFS_FS_COMMANDS_CHECK_CHECK_H
#define AAPFS_FS_COMMANDS_CHECK_CHECK_H

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
    unsigned int warnings, errors; /* lines of these kinds */
    char account[ACCOUNT_SIZE];    /* whose keys the state directory has; "": none */
    struct check_aap *aaps;        /* those that can be shown, as configured or listed */
    size_t aap_count;
    bool aaps_listed;              /* by KMS, completely */
};

/* check_lines.c: a line about SUBJECT. What comes from outside may stand in it. */
void check_ok(struct check *check, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_warning(struct check *check, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_error(struct check *check, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* check_config.c: what the configuration says that is allowed and hardly meant. The second needs AAPS. */
void check_settings(struct check *check);
void check_aaps(struct check *check);

/* check_state.c: the state directory and its key; sets ACCOUNT. */
void check_state(struct check *check);

/* check_mount.c: the mount point, and binds that will not follow a rotation. */
void check_mount(struct check *check);

/* check_network.c: the way to KMS. Whether it leads there. */
bool check_network(struct check *check);

/* check_credentials.c: *SOURCE (NULL: it could not be made), which uses RUNS, says who we are. Whether it does. */
bool check_credentials(struct check *check, struct credential_runs *runs, struct credentials_source **source);

/* check_kms.c: KMS's clock, the account, what is permitted; sets AAPS. */
void check_kms(struct check *check, struct credentials_source *source);

#endif
