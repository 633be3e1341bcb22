/*
 * What cannot change on a live mount: the kernel, the state or a worker's connection has it already.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/config/config.h"

static bool exposes_differ(const struct config *one, const struct config *other)
{
    for (size_t i = 0; i < one->section_count; i++)
        if (one->sections[i].values.expose_password !=
            config_for_aap(other, one->sections[i].name)->expose_password)
            return true;
    return false;
}

int config_check_reload(const struct config *old, const struct config *new, char *reason, size_t reason_size)
{
    const struct {
        const char *key;
        bool differs;
    } fixed[] = {
        {"region", strcmp(old->region, new->region) != 0},
        {"network", old->vpc != new->vpc},
        {"endpoint", strcmp(old->endpoint, new->endpoint) != 0},
        {"credentials", strcmp(old->credentials, new->credentials) != 0},
        {"ca_file", strcmp(old->ca_file, new->ca_file) != 0},
        {"proxy", strcmp(old->proxy, new->proxy) != 0},
        {"state", strcmp(old->state, new->state) != 0},
        {"state_key", strcmp(old->state_key, new->state_key) != 0},
        {"settle", old->settle_ms != new->settle_ms},
        {"audit", old->audit != new->audit},
        {"expose_password", old->defaults.expose_password != new->defaults.expose_password ||
                                exposes_differ(old, new) || exposes_differ(new, old)},
    };
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (fixed[i].differs) {
            snprintf(reason, reason_size,
                     "%s: cannot change on a live mount; umount and mount again; nothing was changed", fixed[i].key);
            return -EINVAL;
        }
    return 0;
}
