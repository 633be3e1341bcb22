/*
 * ~/.aliyun/config.json, the file of Alibaba Cloud's command line.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/crypto.h>

#include "kmsapi/credentials/external.h"
#include "kmsapi/credentials/private_file.h"
#include "kmsapi/credentials/session_answer.h"
#include "kmsapi/credentials/sts.h"
#include "kmsapi/error_text.h"
#include "kmsapi/openssl_cleanup.h"

enum { SOURCES_MOST = 4 };

/* One profile of the file. */
struct profile {
    const struct fetching *fetching;
    const json_t *file, *members;
    unsigned int depth; /* source profiles above it */
};

/* The member NAME; NULL where it is not there, or is empty. What is no string check_types has refused. */
static const char *text(const struct profile *profile, const char *name)
{
    const char *value = json_string_value(json_object_get(profile->members, name));
    return value && value[0] ? value : NULL;
}

static const char *needed(const struct profile *profile, const char *name, char *reason, size_t size)
{
    const char *value = text(profile, name);
    if (!value)
        snprintf(reason, size, "%s is missing", name);
    return value;
}

static int check_other_types(const struct profile *profile, char *reason, size_t size)
{
    static const char *const numbers[] = {"expired_seconds", "sts_expiration"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const json_t *member = json_object_get(profile->members, numbers[i]);
        if (member && !json_is_null(member) && !json_is_integer(member)) {
            snprintf(reason, size, "%s is not a whole number", numbers[i]);
            return -EINVAL;
        }
    }
    const json_t *vpc = json_object_get(profile->members, "enable_vpc");
    if (vpc && !json_is_null(vpc) && !json_is_boolean(vpc)) {
        snprintf(reason, size, "enable_vpc is neither true nor false");
        return -EINVAL;
    }
    return 0;
}

static int check_types(const struct profile *profile, char *reason, size_t size)
{
    static const char *const names[] = {
        "mode", "access_key_id", "access_key_secret", "sts_token", "sts_region", "sts_endpoint",
        "ram_role_arn", "ram_session_name", "ram_role_name", "source_profile", "oidc_token_file",
        "oidc_provider_arn", "policy", "external_id", "credentials_uri", "process_command",
    };
    const char *value;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (session_answer_string(profile->members, names[i], &value, reason, size) < 0)
            return -EINVAL;
    return check_other_types(profile, reason, size);
}

static int access_key(const struct profile *profile, struct session *session, char *reason,
                      size_t size)
{
    return credentials_set(&session->credentials, text(profile, "access_key_id"),
                           text(profile, "access_key_secret"), NULL, reason, size);
}

static int sts_token(const struct profile *profile, struct session *session, char *reason,
                     size_t size)
{
    const char *token = needed(profile, "sts_token", reason, size);
    json_int_t end = json_integer_value(json_object_get(profile->members, "sts_expiration"));
    if (!token)
        return -EINVAL;
    session->life_s = end > 0 ? end - time(NULL) : 0;
    if (session->life_s < 0 || (end > 0 && session->life_s == 0)) {
        snprintf(reason, size, "the session is over already");
        return -EINVAL;
    }
    return credentials_set(&session->credentials, text(profile, "access_key_id"),
                           text(profile, "access_key_secret"), token, reason, size);
}

static struct sts_role role_of(const struct profile *profile)
{
    return (struct sts_role){
        .arn = text(profile, "ram_role_arn"),
        .session_name = text(profile, "ram_session_name"),
        .duration_s = json_integer_value(json_object_get(profile->members, "expired_seconds")),
        .policy = text(profile, "policy"),
        .external_id = text(profile, "external_id"),
        .region = text(profile, "sts_region"),
        .vpc = json_is_true(json_object_get(profile->members, "enable_vpc")),
        .endpoint = text(profile, "sts_endpoint"),
    };
}

static int ram_role_arn(const struct profile *profile, struct session *session, char *reason,
                        size_t size)
{
    struct credentials own;
    const struct sts_role role = role_of(profile);
    int r = credentials_set(&own, text(profile, "access_key_id"), text(profile, "access_key_secret"),
                            text(profile, "sts_token"), reason, size);
    if (r == 0)
        r = sts_assume_role(profile->fetching, &own, &role, session, reason, size);
    credentials_clear(&own);
    return r;
}

static int ecs_ram_role(const struct profile *profile, struct session *session, char *reason,
                        size_t size)
{
    return provider_ecs_ram_role(profile->fetching, text(profile, "ram_role_name"), session, reason,
                                 size);
}

static int oidc(const struct profile *profile, struct session *session, char *reason, size_t size)
{
    const struct sts_role role = role_of(profile);
    const char *arn = needed(profile, "oidc_provider_arn", reason, size);
    const char *file = arn ? needed(profile, "oidc_token_file", reason, size) : NULL;
    return file ? sts_assume_role_with_oidc(profile->fetching, arn, file, &role, session, reason, size)
                : -EINVAL;
}

static int fetch_profile(const struct fetching *fetching, const json_t *file, const char *name,
                         unsigned int depth, struct session *session, char *reason, size_t size);

static int chainable(const struct profile *profile, struct session *session, char *reason,
                     size_t size)
{
    struct session source = {0};
    const struct sts_role role = role_of(profile);
    const char *name = needed(profile, "source_profile", reason, size);
    if (!name)
        return -EINVAL;
    if (profile->depth == SOURCES_MOST) {
        snprintf(reason, size, "more than %d source profiles in a row", SOURCES_MOST);
        return -ELOOP;
    }
    int r = fetch_profile(profile->fetching, profile->file, name, profile->depth + 1, &source, reason,
                          size);
    if (r == 0)
        r = sts_assume_role(profile->fetching, &source.credentials, &role, session, reason, size);
    credentials_clear(&source.credentials);
    return r;
}

static int credentials_uri(const struct profile *profile, struct session *session, char *reason,
                           size_t size)
{
    const char *uri = needed(profile, "credentials_uri", reason, size);
    return uri ? provider_uri(profile->fetching, uri, session, reason, size) : -EINVAL;
}

static int external(const struct profile *profile, struct session *session, char *reason, size_t size)
{
    const char *command = needed(profile, "process_command", reason, size);
    return command ? external_fetch(profile->fetching, command, session, reason, size) : -EINVAL;
}

static const struct {
    const char *mode;
    int (*fetch)(const struct profile *profile, struct session *session, char *reason, size_t size);
} modes[] = {
    {"AK", access_key},
    {"StsToken", sts_token},
    {"RamRoleArn", ram_role_arn},
    {"EcsRamRole", ecs_ram_role},
    {"OIDC", oidc},
    {"ChainableRamRoleArn", chainable},
    {"CredentialsURI", credentials_uri},
    {"External", external},
};

static int fetch_by_mode(const struct profile *profile, struct session *session, char *reason,
                         size_t size)
{
    char clean[48];
    const char *mode = needed(profile, "mode", reason, size);
    if (!mode)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcasecmp(mode, modes[i].mode) == 0)
            return modes[i].fetch(profile, session, reason, size);
    error_text_clean(mode, strlen(mode), NULL, clean, sizeof(clean));
    snprintf(reason, size, "mode %s is not supported; these are: AK, StsToken, RamRoleArn, EcsRamRole, "
                           "OIDC, ChainableRamRoleArn, CredentialsURI, External", clean);
    return -EINVAL;
}

static const json_t *find_profile(const json_t *file, const char *name)
{
    size_t i;
    const json_t *one, *list = json_object_get(file, "profiles");
    json_array_foreach(list, i, one) {
        const char *own = json_string_value(json_object_get(one, "name"));
        if (own && strcmp(own, name) == 0)
            return one;
    }
    return NULL;
}

static int fetch_profile(const struct fetching *fetching, const json_t *file, const char *name,
                         unsigned int depth, struct session *session, char *reason, size_t size)
{
    char why[400], clean[64];
    struct profile profile = {fetching, file, find_profile(file, name), depth};
    error_text_clean(name, strlen(name), NULL, clean, sizeof(clean));
    if (!profile.members) {
        snprintf(reason, size, "profile %s", clean);
        return -ENOENT;
    }
    int r = check_types(&profile, why, sizeof(why));
    if (r == 0)
        r = fetch_by_mode(&profile, session, why, sizeof(why));
    if (r < 0 && r != -ENOMEM) {
        snprintf(reason, size, "profile %s: %s%s", clean, why, r == -ENOENT ? " is missing" : "");
        r = r == -ENOENT ? -EINVAL : r; /* the profile is there: it is set up, and fails */
    }
    return r;
}

static char *find_file(void)
{
    const char *given = provider_variable("ALIBABA_CLOUD_CONFIG_FILE");
    return given ? strdup(given) : provider_home_file(".aliyun/config.json");
}

static int read_file(const char *path, json_t **file, char *reason, size_t size)
{
    _cleanup_(secret_string) char *content = NULL;
    json_error_t error;
    int r = private_file_read(path, &content, reason, size);
    if (r < 0)
        return r;
    *file = json_loads(content, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(*file))
        return 0;
    json_decref(*file);
    *file = NULL;
    snprintf(reason, size, "%.160s: not a JSON object", path); /* jansson's own words quote the file */
    return -EINVAL;
}

/* *NAME, that of ARGUMENT or else of the file, lives as long as *FILE. */
static int open_file(const char *argument, json_t **file, const char **name, char *reason, size_t size)
{
    _cleanup_(free) char *path = NULL;
    if (!argument && provider_switch("ALIBABA_CLOUD_CLI_PROFILE_DISABLED")) {
        snprintf(reason, size, "ALIBABA_CLOUD_CLI_PROFILE_DISABLED is set");
        return -ENOENT;
    }
    path = find_file();
    if (!path) {
        snprintf(reason, size, "HOME");
        return -ENOENT;
    }
    int r = read_file(path, file, reason, size);
    if (r < 0)
        return r;
    *name = argument ? argument : provider_variable("ALIBABA_CLOUD_PROFILE");
    if (!*name)
        *name = json_string_value(json_object_get(*file, "current"));
    if (*name && *name[0])
        return 0;
    snprintf(reason, size, "%.160s: current names no profile", path);
    json_decref(*file);
    *file = NULL;
    return -EINVAL;
}

int provider_cli_profile(const struct fetching *fetching, const char *argument,
                         struct session *session, char *reason, size_t size)
{
    json_t *file = NULL;
    const char *name;
    int r = open_file(argument, &file, &name, reason, size);
    if (r == 0)
        r = fetch_profile(fetching, file, name, 0, session, reason, size);
    json_decref(file);
    return r;
}

int cli_profile_region(const char *argument, char *region, size_t room, char *reason, size_t size)
{
    char clean[64];
    json_t *file = NULL;
    const char *name;
    int r = open_file(argument, &file, &name, reason, size);
    if (r < 0)
        return r;
    const char *value = json_string_value(json_object_get(find_profile(file, name), "region_id"));
    if (value && value[0] && strlen(value) < room) {
        strcpy(region, value);
    } else {
        error_text_clean(name, strlen(name), NULL, clean, sizeof(clean));
        snprintf(reason, size, "profile %s names no region_id", clean);
        r = -ENOENT;
    }
    json_decref(file);
    return r;
}
