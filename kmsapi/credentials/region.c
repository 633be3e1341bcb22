#include "kmsapi/credentials/region.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kmsapi/credentials/provider.h"

enum { REASON_SIZE = 320 };

const char *region_of_environment(const char **variable)
{
    static const char *const names[] = {"ALIBABA_CLOUD_REGION_ID", "ALIBABACLOUD_REGION_ID", "ALICLOUD_REGION_ID"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = provider_variable(names[i]);
        if (value) {
            *variable = names[i];
            return value;
        }
    }
    return NULL;
}

int region_of_providers(const struct credentials_source_options *options, char *region, size_t room, char *reason,
                        size_t size)
{
    const char *provider = options->provider ? options->provider : "default";
    bool all = strcmp(provider, "default") == 0;
    bool profile = strncmp(provider, "profile:", 8) == 0;
    char of_profile[REASON_SIZE] = "", of_ecs[REASON_SIZE] = "";
    int64_t clock_offset_s = 0;
    const struct fetching fetching = {.options = options, .given_up = -1, .clock_offset_s = &clock_offset_s};
    if ((all || profile) &&
        cli_profile_region(profile ? provider + 8 : NULL, region, room, of_profile, sizeof(of_profile)) == 0) {
        snprintf(reason, size, "the profile");
        return 0;
    }
    if ((all || strncmp(provider, "ecs-ram-role", 12) == 0) &&
        ecs_region(&fetching, region, room, of_ecs, sizeof(of_ecs)) == 0) {
        snprintf(reason, size, "ECS metadata");
        return 0;
    }
    snprintf(reason, size, "%s%s%s%s%s", all || profile ? "profile: " : "", of_profile,
             all ? "; " : "", of_ecs[0] ? "ECS metadata: " : "", of_ecs);
    return -ENOENT;
}
