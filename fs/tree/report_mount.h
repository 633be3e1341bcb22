/* The mount's own status. Pure; with the registry's lock held. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "fs/tree/report.h"

/* NOW: KMS's time. NULL when memory is short. */
json_t *report_mount_status(struct registry *registry, const struct report_facts *facts, int64_t now);
