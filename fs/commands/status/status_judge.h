/* Whether somebody has to do something: what `aapfs status` exits with 1 for. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/*
 * What is wrong with an AAP, by its status with its LastError, and what to do: it fails, its first key was refused, its
 * applications were not told, what they use ends within 7 days, or the rotation to come finds no place. NULL: nothing.
 * NOW: KMS's time. A text from outside may be among them.
 */
const char *status_aap_advice(const json_t *aap, int64_t now);

/* The same of the mount: nothing was listed for three intervals, or never and KMS refuses; or there is no AAP. */
const char *status_mount_advice(const json_t *mount, int64_t now);

/* Whether an AAP in STATE has no key that serves, or will not have one for long. */
bool status_is_bad(const char *state);

/* The member NAME of OBJECT as a time; 0 when it is null or none. */
int64_t status_time_of(const json_t *object, const char *name);
