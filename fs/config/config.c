#include "fs/config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/config/value.h"
#include "kmsapi/base/endpoint.h"

static void derive_endpoint(struct config *config)
{
    if (!config->endpoint_is_given)
        snprintf(config->endpoint, sizeof(config->endpoint), "https://kms%s.%s.aliyuncs.com",
                 config->vpc ? "-vpc" : "", config->region);
}

void config_defaults(struct config *config)
{
    *config = (struct config){
        .credentials = "default",
        .request_timeout_ms = 30 * 1000,
        .all_aaps = true,
        .requests_per_second = 2,
        .sync_interval_ms = 3600 * 1000,
        .control = true,
        .settle_ms = 60 * 1000,
        .creation_guard_ms = 5 * 1000,
        .fleet = {.prefix = "aapfs"},
        .defaults = {.owner = geteuid(),
                     .group = getegid(),
                     .mode = 0440,
                     .validity_seconds = 365 * CONFIG_DAY_SECONDS,
                     .validity_years = 1,
                     .max_keys = CONFIG_QUOTA_KEYS,
                     .control_group = (gid_t)-1,
                     .rotate_at = ROTATE_AT_PERCENT,
                     .rotate_at_percent = 66,
                     .on_rotate_user = (uid_t)-1,
                     .on_rotate_timeout_ms = 60 * 1000},
    };
}

int config_set_region(struct config *config, const char *region, char *reason, size_t reason_size)
{
    size_t length = strlen(region);
    bool valid = length > 0 && length < sizeof(config->region) && region[0] != '-' &&
                 region[length - 1] != '-' &&
                 strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
    if (!valid) {
        snprintf(reason, reason_size, "not a region id; right is one like cn-hangzhou");
        return -EINVAL;
    }
    memcpy(config->region, region, length + 1);
    derive_endpoint(config);
    return 0;
}

void config_set_vpc(struct config *config, bool vpc)
{
    config->vpc = vpc;
    derive_endpoint(config);
}

int config_set_endpoint(struct config *config, const char *endpoint, char *reason, size_t reason_size)
{
    struct endpoint parts;
    if (endpoint_is_of_instance(endpoint)) {
        snprintf(reason, reason_size, "that is the address of a KMS instance, where applications use client keys; they are made "
                 "at KMS itself: leave endpoint empty and give region, or write kms.REGION.aliyuncs.com, in a VPC "
                 "kms-vpc.REGION.aliyuncs.com");
        return -EINVAL;
    }
    int r = endpoint_parse(endpoint, &parts, reason, reason_size);
    if (r < 0)
        return r;
    int length = snprintf(config->endpoint, sizeof(config->endpoint), "%s://%s",
                          parts.tls ? "https" : "http", parts.authority);
    if (length >= (int)sizeof(config->endpoint)) {
        snprintf(reason, reason_size, "the host's name is too long");
        return -EINVAL;
    }
    config->endpoint_is_given = true;
    return 0;
}

static int set_path(char to[static CONFIG_PATH_SIZE], const char *path, char *reason, size_t reason_size)
{
    char whole[2 * CONFIG_PATH_SIZE], here[CONFIG_PATH_SIZE] = "";
    if (path[0] != '/' && !getcwd(here, sizeof(here))) {
        snprintf(reason, reason_size, "the current directory has no path; give a whole one");
        return -errno;
    }
    int length = snprintf(whole, sizeof(whole), "%s%s%s", here, here[0] ? "/" : "", path);
    if (path[0] == '\0' || length >= (int)sizeof(whole)) {
        snprintf(reason, reason_size, "empty or too long; right is a path");
        return -EINVAL;
    }
    return config_value_path(whole, to, reason, reason_size);
}

int config_set_state(struct config *config, const char *path, char *reason, size_t reason_size)
{
    return set_path(config->state, path, reason, reason_size);
}

int config_set_state_key(struct config *config, const char *path, char *reason, size_t reason_size)
{
    return set_path(config->state_key, path, reason, reason_size);
}

bool config_aap_name_is_shown(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length < CONFIG_NAME_SIZE && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") ==
               length;
}

bool config_has_command(const struct config_aap *aap)
{
    return aap->on_rotate[0] && strcmp(aap->on_rotate, "none") != 0;
}

static int compare_names(const void *name, const void *section)
{
    return strcmp(name, ((const struct config_section *)section)->name);
}

const struct config_aap *config_for_aap(const struct config *config, const char *name)
{
    const struct config_section *found =
        config->section_count == 0 ? NULL
                                   : bsearch(name, config->sections, config->section_count,
                                             sizeof(config->sections[0]), compare_names);
    return found ? &found->values : &config->defaults;
}

static bool exposes_differ(const struct config *one, const struct config *other)
{
    for (size_t i = 0; i < one->section_count; i++)
        if (one->sections[i].values.expose_password != config_for_aap(other, one->sections[i].name)->expose_password)
            return true;
    return false;
}

static bool fleets_differ(const struct config_fleet *one, const struct config_fleet *other)
{
    for (size_t i = 0; i < one->etcd_count && i < other->etcd_count; i++)
        if (strcmp(one->etcd[i], other->etcd[i]) != 0)
            return true;
    return one->etcd_count != other->etcd_count || strcmp(one->prefix, other->prefix) != 0 ||
           strcmp(one->fleet_key, other->fleet_key) != 0 || strcmp(one->ca_file, other->ca_file) != 0 ||
           strcmp(one->certificate, other->certificate) != 0 || strcmp(one->certificate_key, other->certificate_key) != 0 ||
           strcmp(one->user, other->user) != 0 || strcmp(one->password_file, other->password_file) != 0;
}

/* The kernel, the state or a worker's connection has it already. */
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
        {"[fleet]", fleets_differ(&old->fleet, &new->fleet)},
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

void config_clear(struct config *config)
{
    free(config->aap_names);
    free(config->sections);
    *config = (struct config){0};
}
