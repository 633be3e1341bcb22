/*
 * ~/.aliyun/config.json, the file of Alibaba Cloud's command line.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/crypto.h>

#include "kmsapi/base/error_text.h"
#include "kmsapi/credentials/external.h"
#include "kmsapi/credentials/private_file.h"
#include "kmsapi/credentials/session_answer.h"
#include "kmsapi/credentials/sts.h"
#include "kmsapi/iso_time.h"
#include "kmsapi/openssl_cleanup.h"

enum { SOURCES_MOST = 4 };

/* One profile of the file. */
struct profile {
    const struct fetching *fetching;
    const json_t *file, *members;
    const char *name; /* as it is shown */
    unsigned int depth; /* 1: the one asked for; more: a source profile of such */
    char *reason;
    size_t size;
};

/* In letters of either case, as Go reads it; one that is written just so comes first. NULL: not there, or null. */
static const json_t *member(const json_t *object, const char *name)
{
    const char *key;
    json_t *value, *found = json_object_get(object, name);
    if (!found)
        json_object_foreach((json_t *)(uintptr_t)object, key, value)
            if (strcasecmp(key, name) == 0)
                found = value;
    return json_is_null(found) ? NULL : found;
}

static int refuse(const struct profile *profile, const char *name, const char *what)
{
    snprintf(profile->reason, profile->size, "%s %s", name, what);
    return -EINVAL;
}

/* Into *VALUE, NULL where it is not there, or is empty. 0 or -EINVAL. */
static int text(const struct profile *profile, const char *name, const char **value)
{
    const json_t *found = member(profile->members, name);
    *value = json_string_value(found);
    if (found && !*value)
        return refuse(profile, name, "is not a string");
    if (*value && !(*value)[0])
        *value = NULL;
    return 0;
}

static int needed(const struct profile *profile, const char *name, const char **value)
{
    int r = text(profile, name, value);
    return r < 0 || *value ? r : refuse(profile, name, "is missing");
}

/* A whole number, or a string that is one, as the SDK for Java takes it; 0 where it is not there, or is empty. */
static int number(const struct profile *profile, const char *name, int64_t *value)
{
    const json_t *found = member(profile->members, name);
    const char *digits = json_string_value(found);
    char *end = NULL;
    *value = digits ? strtoll(digits, &end, 10) : json_integer_value(found);
    return !found || json_is_integer(found) || (digits && !end[0]) ? 0 : refuse(profile, name, "is not a whole number");
}

/* True, false, or one of both as a string; false where it is not there. */
static int truth(const struct profile *profile, const char *name, bool *value)
{
    const json_t *found = member(profile->members, name);
    const char *word = json_string_value(found);
    *value = json_is_true(found) || (word && strcasecmp(word, "true") == 0);
    if (!found || json_is_boolean(found) || (word && (*value || !word[0] || strcasecmp(word, "false") == 0)))
        return 0;
    return refuse(profile, name, "is neither true nor false");
}

/* The access key of the profile itself, with a token where there is one for it. */
static int own_key(const struct profile *profile, struct credentials *credentials)
{
    const char *id, *secret, *token;
    *credentials = (struct credentials){0};
    if (text(profile, "access_key_id", &id) < 0 || text(profile, "access_key_secret", &secret) < 0 ||
        text(profile, "sts_token", &token) < 0)
        return -EINVAL;
    return credentials_set(credentials, id, secret, credentials_token_of(id, token), profile->reason, profile->size);
}

static int access_key(const struct profile *profile, struct session *session)
{
    return own_key(profile, &session->credentials);
}

/* sts_expiration is not looked at: the CLI leaves that of an earlier login in place. */
static int sts_token(const struct profile *profile, struct session *session)
{
    const char *id, *secret, *token;
    if (needed(profile, "sts_token", &token) < 0 || text(profile, "access_key_id", &id) < 0 ||
        text(profile, "access_key_secret", &secret) < 0)
        return -EINVAL;
    return credentials_set(&session->credentials, id, secret, token, profile->reason, profile->size);
}

/* What the CLI got for a login in a browser, and keeps in the file. Renewing it is the CLI's. */
static int login(const struct profile *profile, const char *mode, struct session *session)
{
    const char *id, *secret, *token;
    int64_t end;
    char ended[ISO_TIME_SIZE];
    if (number(profile, "sts_expiration", &end) < 0 || text(profile, "access_key_id", &id) < 0 ||
        text(profile, "access_key_secret", &secret) < 0 || text(profile, "sts_token", &token) < 0)
        return -EINVAL;
    session->life_s = end - time(NULL);
    if (id && secret && token && end > 0 && session->life_s > 0)
        return credentials_set(&session->credentials, id, secret, token, profile->reason, profile->size);
    bool none = !id || !secret || !token || iso_time_format(end, ended) < 0 || end == 0;
    snprintf(profile->reason, profile->size, "%s%s; log in again: aliyun configure --profile %s --mode %s",
             none ? "the file holds no session" : "the session in the file ended at ", none ? "" : ended, profile->name,
             mode);
    return -EINVAL;
}

static int cloud_sso(const struct profile *profile, struct session *session)
{
    return login(profile, "CloudSSO", session);
}

static int oauth(const struct profile *profile, struct session *session)
{
    return login(profile, "OAuth", session);
}

static int role_of(const struct profile *profile, struct sts_role *role)
{
    *role = (struct sts_role){0};
    if (text(profile, "ram_role_arn", &role->arn) < 0 || text(profile, "ram_session_name", &role->session_name) < 0 ||
        number(profile, "expired_seconds", &role->duration_s) < 0 || text(profile, "policy", &role->policy) < 0 ||
        text(profile, "external_id", &role->external_id) < 0 || text(profile, "sts_region", &role->region) < 0 ||
        truth(profile, "enable_vpc", &role->vpc) < 0 || text(profile, "sts_endpoint", &role->endpoint) < 0)
        return -EINVAL;
    sts_role_complete(role);
    return 0;
}

static int ram_role_arn(const struct profile *profile, struct session *session)
{
    struct credentials own = {0};
    struct sts_role role;
    int r = role_of(profile, &role);
    if (r == 0)
        r = own_key(profile, &own);
    if (r == 0)
        r = sts_assume_role(profile->fetching, &own, &role, session, profile->reason, profile->size);
    credentials_clear(&own);
    return r;
}

static int ecs_ram_role(const struct profile *profile, struct session *session)
{
    const char *role;
    int r = text(profile, "ram_role_name", &role);
    return r < 0 ? r : provider_ecs_ram_role(profile->fetching, role, session, profile->reason, profile->size);
}

static int oidc(const struct profile *profile, struct session *session)
{
    struct sts_role role;
    const char *arn, *file;
    if (role_of(profile, &role) < 0 || text(profile, "oidc_provider_arn", &arn) < 0 ||
        text(profile, "oidc_token_file", &file) < 0)
        return -EINVAL;
    arn = arn ? arn : provider_variable("ALIBABA_CLOUD_OIDC_PROVIDER_ARN");
    file = file ? file : provider_variable("ALIBABA_CLOUD_OIDC_TOKEN_FILE");
    if (!arn || !file)
        return refuse(profile, arn ? "oidc_token_file" : "oidc_provider_arn", "is missing");
    return sts_assume_role_with_oidc(profile->fetching, arn, file, &role, session, profile->reason, profile->size);
}

static int fetch_profile(const struct profile *above, const char *name, struct session *session);

static int chainable(const struct profile *profile, struct session *session)
{
    struct session source = {0};
    struct sts_role role;
    const char *name;
    if (role_of(profile, &role) < 0 || needed(profile, "source_profile", &name) < 0)
        return -EINVAL;
    if (profile->depth > SOURCES_MOST) {
        snprintf(profile->reason, profile->size, "more than %d source profiles in a row", SOURCES_MOST);
        return -ELOOP;
    }
    int r = fetch_profile(profile, name, &source);
    if (r == 0)
        r = sts_assume_role(profile->fetching, &source.credentials, &role, session, profile->reason, profile->size);
    credentials_clear(&source.credentials);
    return r;
}

static int credentials_uri(const struct profile *profile, struct session *session)
{
    const char *uri;
    if (text(profile, "credentials_uri", &uri) < 0)
        return -EINVAL;
    if (!uri && !provider_variable("ALIBABA_CLOUD_CREDENTIALS_URI"))
        return refuse(profile, "credentials_uri", "is missing");
    return provider_uri(profile->fetching, uri, session, profile->reason, profile->size);
}

static int external(const struct profile *profile, struct session *session)
{
    const char *command;
    int r = needed(profile, "process_command", &command);
    return r < 0 ? r : external_fetch(profile->fetching, command, session, profile->reason, profile->size);
}

static const struct {
    const char *mode;
    int (*fetch)(const struct profile *profile, struct session *session);
} modes[] = {
    {"AK", access_key},
    {"StsToken", sts_token},
    {"RamRoleArn", ram_role_arn},
    {"EcsRamRole", ecs_ram_role},
    {"OIDC", oidc},
    {"ChainableRamRoleArn", chainable},
    {"CredentialsURI", credentials_uri},
    {"CloudSSO", cloud_sso},
    {"OAuth", oauth},
    {"External", external},
};

static int fetch_by_mode(const struct profile *profile, struct session *session)
{
    char clean[48];
    const char *mode;
    if (text(profile, "mode", &mode) < 0)
        return -EINVAL;
    for (size_t i = 0; mode && i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcasecmp(mode, modes[i].mode) == 0)
            return modes[i].fetch(profile, session);
    if (!mode) {
        snprintf(profile->reason, profile->size, "mode is missing; set it up: aliyun configure --profile %s", profile->name);
        return -EINVAL;
    }
    error_text_clean(mode, strlen(mode), NULL, clean, sizeof(clean));
    snprintf(profile->reason, profile->size, "mode %s is not supported; these are: AK, StsToken, RamRoleArn, EcsRamRole, "
             "OIDC, ChainableRamRoleArn, CredentialsURI, CloudSSO, OAuth, External", clean);
    return -EINVAL;
}

static const json_t *find_profile(const json_t *file, const char *name)
{
    size_t i;
    const json_t *one, *list = member(file, "profiles");
    json_array_foreach(list, i, one) {
        const char *own = json_string_value(member(one, "name"));
        if (own && strcmp(own, name) == 0)
            return one;
    }
    return NULL;
}

/* With the reason of ABOVE to write to, and one source profile deeper. */
static int fetch_profile(const struct profile *above, const char *name, struct session *session)
{
    char why[400], clean[64];
    const struct profile profile = {above->fetching, above->file, find_profile(above->file, name), clean,
                                    above->depth + 1, why, sizeof(why)};
    error_text_clean(name, strlen(name), NULL, clean, sizeof(clean));
    if (!profile.members) {
        snprintf(above->reason, above->size, "profile %s", clean);
        return -ENOENT;
    }
    int r = fetch_by_mode(&profile, session);
    if (r < 0 && r != -ENOMEM) {
        snprintf(above->reason, above->size, "profile %s: %s%s", clean, why, r == -ENOENT ? " is missing" : "");
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
    *file = json_loads(content, 0, &error); /* of a member that is there twice the last one counts */
    if (json_is_object(*file))
        return 0;
    json_decref(*file);
    *file = NULL;
    snprintf(reason, size, "%.160s: %s", path, /* jansson's own words quote the file */
             content[strspn(content, " \t\r\n")] ? "not a JSON object" : "it is empty");
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
        *name = json_string_value(member(*file, "current"));
    if (!*name || !(*name)[0])
        *name = "default"; /* as the CLI has it */
    return 0;
}

int provider_cli_profile(const struct fetching *fetching, const char *argument,
                         struct session *session, char *reason, size_t size)
{
    json_t *file = NULL;
    const char *name;
    int r = open_file(argument, &file, &name, reason, size);
    if (r == 0)
        r = fetch_profile(&(struct profile){.fetching = fetching, .file = file, .reason = reason, .size = size}, name,
                          session);
    json_decref(file);
    return r;
}

int cli_profile_region(const struct fetching *fetching, const char *argument, char *region, size_t room, char *reason,
                       size_t size)
{
    char clean[64];
    json_t *file = NULL;
    const char *name;
    int r = open_file(argument, &file, &name, reason, size);
    if (r < 0)
        return r;
    const char *value = json_string_value(member(find_profile(file, name), "region_id"));
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
