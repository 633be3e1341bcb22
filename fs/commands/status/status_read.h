/*
 * What a mount tells about itself, read within a few seconds or not at all: without a worker a read of it does not
 * return, and cannot be ended either.
 */
#pragma once

#include <jansson.h>

#include "kmsapi/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

/*
 * {"Mount": .aapfs/status, "Aaps": [every AAP's status, by name]}, each with its LastError: null, the object, or no such
 * member where it may not be read. AAP: of that one only; NULL: of all. NULL after a line.
 */
json_t *status_read(const char *mountpoint, const char *aap);
