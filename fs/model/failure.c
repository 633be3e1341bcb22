#include "fs/model/failure.h"

#include <stdio.h>
#include <string.h>

/* As last_error has them: KMS's own operation, where there is one. */
static const char *const names[FAILURE_SOURCES] = {
    [FAILURE_CONTROL] = "control",
    [FAILURE_CREATION] = "CreateClientKey",
    [FAILURE_DELETION] = "DeleteClientKey",
    [FAILURE_ADOPTION] = "adopt",
    [FAILURE_RELOADED] = "reloaded",
    [FAILURE_SYNC] = "ListApplicationAccessPoints",
    [FAILURE_ROTATE_DUE] = "rotate-due",
    [FAILURE_RELOAD] = "reload",
    [FAILURE_UPGRADE] = "upgrade",
    [FAILURE_FORGET] = "forget",
    [FAILURE_ADOPT_STATE] = "adopt-state",
    [FAILURE_DESCRIPTION] = "DescribeApplicationAccessPoint",
    [FAILURE_LISTING] = "ListClientKeys",
    [FAILURE_ONE_KEY] = "GetClientKey",
};

void failure_set(struct registry_failure *failure, enum failure_source source, const struct kms_error *error, int64_t time)
{
    *failure = (struct registry_failure){*error, time, source};
    if (!error->operation[0])
        snprintf(failure->error.operation, sizeof(failure->error.operation), "%s", names[source]);
    for (unsigned int i = 0; i < FAILURE_SOURCES; i++)
        if (strcmp(failure->error.operation, names[i]) == 0)
            failure->source = (enum failure_source)i;
}

void failure_clear(struct registry_failure *failure, enum failure_source source)
{
    if (failure->source == source)
        *failure = (struct registry_failure){0};
}
