/*
 * What an ECS instance finds at 100.100.100.200, as far as credentials need it, and a credentials
 * URI, /_credentials. Any thread.
 */
#ifndef AAPFS_EMULATOR_METADATA_H
#define AAPFS_EMULATOR_METADATA_H

#include <stdbool.h>

#include "kmsapi/emulator/reply.h"
#include "kmsapi/emulator/request.h"
#include "kmsapi/emulator/sessions.h"

struct metadata {
    struct sessions *sessions;
    const char *role, *region;
    bool only_with_token; /* IMDSv2 */
};

/* What REQUEST asks for, by the name that faults and counts know: "Metadata.Token"; NULL: nothing of this. */
const char *metadata_operation(const struct request *request);

void metadata_run(const struct metadata *metadata, const struct request *request,
                  struct reply *reply);

#endif
