/*
 * Whether somebody has to do something: what `aapfs status` exits with 1 for. Pure.
 */
#ifndef AAPFS_FS_COMMANDS_STATUS_JUDGE_H
#define AAPFS_FS_COMMANDS_STATUS_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/* Whether its Note says that the rotation to come would find no place. */
bool status_aap_has_no_place(const json_t *aap);

/* The status of an AAP: it fails, or what its applications use ends within 7 days. NOW: KMS's time. */
bool status_aap_needs_somebody(const json_t *aap, int64_t now);

/* The mount's: nothing was listed for three intervals. */
bool status_mount_needs_somebody(const json_t *mount, int64_t now);

/* The member NAME of OBJECT as a time; 0 when it is null or none. */
int64_t status_time_of(const json_t *object, const char *name);

#endif
