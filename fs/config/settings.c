#include "fs/config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsapi/cleanup.h"

static int parse_region(const char *text, void *user, char *reason, size_t size)
{
    return config_set_region(user, text, reason, size);
}

static int parse_endpoint(const char *text, void *user, char *reason, size_t size)
{
    return text[0] ? config_set_endpoint(user, text, reason, size) : 0;
}

static int parse_network(const char *text, void *user, char *reason, size_t size)
{
    bool vpc = strcmp(text, "vpc") == 0;
    if (!vpc && strcmp(text, "public") != 0) {
        snprintf(reason, size, "neither public nor vpc; right is one of them");
        return -EINVAL;
    }
    config_set_vpc(user, vpc);
    return 0;
}

static int add_aap_name(struct config *config, const char *name, char *reason, size_t size)
{
    if (!config_aap_name_is_shown(name)) {
        snprintf(reason, size, "not an AAP's name; right are names of A-Z a-z 0-9 _ - . without a "
                               "dot in front, separated by spaces, or all");
        return -EINVAL;
    }
    for (size_t i = 0; i < config->aap_name_count; i++)
        if (strcmp(config->aap_names[i], name) == 0) {
            snprintf(reason, size, "a name stands twice");
            return -EINVAL;
        }
    char(*grown)[CONFIG_NAME_SIZE] =
        reallocarray(config->aap_names, config->aap_name_count + 1, sizeof(*grown));
    if (!grown) {
        snprintf(reason, size, "memory is short");
        return -ENOMEM;
    }
    config->aap_names = grown;
    strcpy(config->aap_names[config->aap_name_count++], name);
    return 0;
}

static int parse_aaps(const char *text, void *user, char *reason, size_t size)
{
    struct config *config = user;
    config->all_aaps = strcmp(text, "all") == 0;
    if (config->all_aaps)
        return 0;
    _cleanup_(free) char *names = strdup(text);
    if (!names) {
        snprintf(reason, size, "memory is short");
        return -ENOMEM;
    }
    char *rest = NULL;
    for (char *name = strtok_r(names, " ,\t", &rest); name; name = strtok_r(NULL, " ,\t", &rest)) {
        int r = add_aap_name(config, name, reason, size);
        if (r < 0)
            return r;
    }
    if (config->aap_name_count == 0) {
        snprintf(reason, size, "empty; right is all, or names separated by spaces");
        return -EINVAL;
    }
    return 0;
}

#define ENTIRE_CONFIG 0, 0, 0
#define CONFIG_MEMBER(member) offsetof(struct config, member), 0, 0
#define AAP_MEMBER(member) \
    offsetof(struct config_aap, member), offsetof(struct config_aap, member), \
        sizeof(((struct config_aap *)0)->member)
#define AAP_MEMBERS(first, last) \
    0, offsetof(struct config_aap, first), \
        offsetof(struct config_aap, last) + sizeof(((struct config_aap *)0)->last) - \
            offsetof(struct config_aap, first)

const struct config_setting config_settings[CONFIG_SETTINGS] = {
    {SECTION_KMS, "region", parse_region, ENTIRE_CONFIG},
    {SECTION_KMS, "endpoint", parse_endpoint, ENTIRE_CONFIG},
    {SECTION_KMS, "network", parse_network, ENTIRE_CONFIG},
    {SECTION_KMS, "credentials", config_value_credentials, CONFIG_MEMBER(credentials)},
    {SECTION_KMS, "ca_file", config_value_path, CONFIG_MEMBER(ca_file)},
    {SECTION_KMS, "proxy", config_value_proxy, CONFIG_MEMBER(proxy)},
    {SECTION_KMS, "request_timeout", config_value_timeout, CONFIG_MEMBER(request_timeout_ms)},
    {SECTION_KMS, "requests_per_second", config_value_rate, CONFIG_MEMBER(requests_per_second)},
    {SECTION_KMS, "sync_interval", config_value_sync_interval, CONFIG_MEMBER(sync_interval_ms)},
    {SECTION_KMS, "aaps", parse_aaps, ENTIRE_CONFIG},
    {SECTION_MOUNT, "state", config_value_path, CONFIG_MEMBER(state)},
    {SECTION_MOUNT, "state_key", config_value_path, CONFIG_MEMBER(state_key)},
    {SECTION_MOUNT, "settle", config_value_while, CONFIG_MEMBER(settle_ms)},
    {SECTION_MOUNT, "audit", config_value_switch, CONFIG_MEMBER(audit)},
    {SECTION_MOUNT, "control", config_value_switch, CONFIG_MEMBER(control)},
    {SECTION_MOUNT, "creation_guard", config_value_guard, CONFIG_MEMBER(creation_guard_ms)},
    {SECTION_FLEET, "etcd", config_value_etcd, CONFIG_MEMBER(fleet)},
    {SECTION_FLEET, "prefix", config_value_prefix, CONFIG_MEMBER(fleet.prefix)},
    {SECTION_FLEET, "fleet_key", config_value_path, CONFIG_MEMBER(fleet.fleet_key)},
    {SECTION_FLEET, "ca_file", config_value_path, CONFIG_MEMBER(fleet.ca_file)},
    {SECTION_FLEET, "certificate", config_value_path, CONFIG_MEMBER(fleet.certificate)},
    {SECTION_FLEET, "certificate_key", config_value_path, CONFIG_MEMBER(fleet.certificate_key)},
    {SECTION_FLEET, "user", config_value_etcd_user, CONFIG_MEMBER(fleet.user)},
    {SECTION_FLEET, "password_file", config_value_path, CONFIG_MEMBER(fleet.password_file)},
    {SECTION_AAP, "owner", config_value_user, AAP_MEMBER(owner)},
    {SECTION_AAP, "group", config_value_group, AAP_MEMBER(group)},
    {SECTION_AAP, "mode", config_value_mode, AAP_MEMBER(mode)},
    {SECTION_AAP, "control_group", config_value_control_group, AAP_MEMBER(control_group)},
    {SECTION_AAP, "validity", config_value_validity, AAP_MEMBERS(validity_seconds, validity_years)},
    {SECTION_AAP, "rotate_at", config_value_rotate_at, AAP_MEMBERS(rotate_at, rotate_before_seconds)},
    {SECTION_AAP, "password_source", config_value_password_source, AAP_MEMBERS(password_source, password_file)},
    {SECTION_AAP, "first_key", config_value_first_key, AAP_MEMBERS(first_key, first_key_file)},
    {SECTION_AAP, "expose_password", config_value_switch, AAP_MEMBER(expose_password)},
    {SECTION_AAP, "on_rotate", config_value_command, AAP_MEMBER(on_rotate)},
    {SECTION_AAP, "on_rotate_user", config_value_command_user, AAP_MEMBER(on_rotate_user)},
    {SECTION_AAP, "on_rotate_timeout", config_value_while, AAP_MEMBER(on_rotate_timeout_ms)},
    {SECTION_AAP, "delete_superseded", config_value_delete_superseded,
     AAP_MEMBERS(delete_superseded, delete_after_seconds)},
    {SECTION_AAP, "max_keys", config_value_max_keys, AAP_MEMBER(max_keys)},
};

size_t config_setting_find(enum config_section_kind kind, const char *key)
{
    size_t i = 0;
    while (i < CONFIG_SETTINGS && (config_settings[i].kind != kind || strcmp(config_settings[i].key, key) != 0))
        i++;
    return i;
}

void config_inherit(struct config_aap *values, const struct config_aap *defaults,
                    const unsigned int lines[static CONFIG_SETTINGS])
{
    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        const struct config_setting *setting = &config_settings[i];
        if (lines[i] == 0 && setting->size > 0)
            memcpy((char *)values + setting->begin, (const char *)defaults + setting->begin, setting->size);
    }
}
