/* An AAP's status, and what its Note says. Pure; with the registry's lock held. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "fs/model/registry.h"

/* With what the Note begins where the rotation to come would find no place: aapfs status goes by it. */
#define REPORT_NO_PLACE "no place for the next rotation"
#define REPORT_NO_FIRST_PLACE "no place for the first client key"
#define REPORT_RAM_ROLE "this AAP is used with a RAM role"

/* NOW: KMS's time. NULL when memory is short. */
json_t *report_aap_status(const struct registry_aap *aap, int64_t now);
