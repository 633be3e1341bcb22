/*
 * ~/.alibabacloud/credentials: the file that the SDKs share. Those for Java and Python look for credentials.ini beside it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "kmsapi/base/error_text.h"
#include "kmsapi/credentials/ini.h"
#include "kmsapi/credentials/private_file.h"
#include "kmsapi/credentials/provider.h"
#include "kmsapi/credentials/sts.h"
#include "kmsapi/openssl_cleanup.h"

enum key {
    KEY_ENABLE, KEY_TYPE, KEY_ID, KEY_SECRET, KEY_TOKEN, KEY_ROLE_NAME, KEY_ROLE_ARN, KEY_SESSION_NAME,
    KEY_SESSION_EXPIRATION, KEY_POLICY, KEY_OIDC_PROVIDER, KEY_OIDC_TOKEN_FILE, KEY_COUNT,
};

static const char *const key_names[KEY_COUNT] = {
    "enable", "type", "access_key_id", "access_key_secret", "security_token", "role_name", "role_arn",
    "role_session_name", "role_session_expiration", "policy", "oidc_provider_arn", "oidc_token_file_path",
};

struct section {
    const struct fetching *fetching;
    const char *values[KEY_COUNT]; /* in the file's text; NULL: not there, or empty */
};

/* In letters of either case; of a key that is there twice the last one counts. Other keys belong to types that others have. */
static bool take(void *user, const char *key, const char *value)
{
    struct section *section = user;
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcasecmp(key, key_names[i]) == 0)
            section->values[i] = value[0] ? value : NULL;
    return true;
}

static int access_key(const struct section *section, struct session *session, char *reason, size_t size)
{
    return credentials_set(&session->credentials, section->values[KEY_ID], section->values[KEY_SECRET], NULL, reason,
                           size);
}

static int sts(const struct section *section, struct session *session, char *reason, size_t size)
{
    const char *token = section->values[KEY_TOKEN];
    if (!token)
        snprintf(reason, size, "security_token is missing");
    return token ? credentials_set(&session->credentials, section->values[KEY_ID], section->values[KEY_SECRET], token,
                                   reason, size)
                 : -EINVAL;
}

static int ecs_ram_role(const struct section *section, struct session *session, char *reason, size_t size)
{
    return provider_ecs_ram_role(section->fetching, section->values[KEY_ROLE_NAME], session, reason, size);
}

static int role_of(const struct section *section, struct sts_role *role, char *reason, size_t size)
{
    const char *text = section->values[KEY_SESSION_EXPIRATION];
    char *end = NULL;
    *role = (struct sts_role){
        .arn = section->values[KEY_ROLE_ARN],
        .session_name = section->values[KEY_SESSION_NAME],
        .duration_s = text ? strtoll(text, &end, 10) : 0,
        .policy = section->values[KEY_POLICY],
    };
    sts_role_complete(role);
    if (!text || !end[0])
        return 0;
    snprintf(reason, size, "role_session_expiration is not a whole number");
    return -EINVAL;
}

static int ram_role_arn(const struct section *section, struct session *session, char *reason, size_t size)
{
    struct credentials own = {0};
    struct sts_role role;
    int r = role_of(section, &role, reason, size);
    if (r == 0)
        r = credentials_set(&own, section->values[KEY_ID], section->values[KEY_SECRET],
                            credentials_token_of(section->values[KEY_ID], section->values[KEY_TOKEN]), reason, size);
    if (r == 0)
        r = sts_assume_role(section->fetching, &own, &role, session, reason, size);
    credentials_clear(&own);
    return r;
}

static int oidc_role_arn(const struct section *section, struct session *session, char *reason, size_t size)
{
    struct sts_role role;
    const char *provider = section->values[KEY_OIDC_PROVIDER], *file = section->values[KEY_OIDC_TOKEN_FILE];
    int r = role_of(section, &role, reason, size);
    if (r < 0)
        return r;
    provider = provider ? provider : provider_variable("ALIBABA_CLOUD_OIDC_PROVIDER_ARN");
    file = file ? file : provider_variable("ALIBABA_CLOUD_OIDC_TOKEN_FILE");
    if (provider && file)
        return sts_assume_role_with_oidc(section->fetching, provider, file, &role, session, reason, size);
    snprintf(reason, size, "oidc_provider_arn or oidc_token_file_path is missing");
    return -EINVAL;
}

static const struct {
    const char *type;
    int (*fetch)(const struct section *section, struct session *session, char *reason, size_t size);
} types[] = {
    {"access_key", access_key},
    {"sts", sts},
    {"ecs_ram_role", ecs_ram_role},
    {"ram_role_arn", ram_role_arn},
    {"oidc_role_arn", oidc_role_arn},
};

static int by_type(const struct section *section, struct session *session, char *reason, size_t size)
{
    char clean[48];
    const char *type = section->values[KEY_TYPE] ? section->values[KEY_TYPE] : "(none)";
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(type, types[i].type) == 0)
            return types[i].fetch(section, session, reason, size);
    error_text_clean(type, strlen(type), NULL, clean, sizeof(clean));
    snprintf(reason, size, "type %s is not supported; these are: access_key, sts, ecs_ram_role, ram_role_arn, "
                           "oidc_role_arn", clean);
    return -EINVAL;
}

/* Only the SDK for Java knows "enable": what it does not read as true is off. Where it is not there the profile is on. */
static bool is_on(const struct section *section)
{
    const char *enable = section->values[KEY_ENABLE];
    return !enable || strcasecmp(enable, "true") == 0;
}

static int by_section(const struct section *section, const char *path, const char *name, struct session *session,
                      char *reason, size_t size)
{
    char why[256];
    if (!is_on(section)) {
        snprintf(reason, size, "profile %s is switched off in %.160s: enable = false", name, path);
        return -ENOENT;
    }
    int r = by_type(section, session, why, sizeof(why));
    if (r == 0 || r == -ENOMEM)
        return r;
    snprintf(reason, size, "profile %s: %s", name, why);
    return -EINVAL;
}

/* *THERE: the file is. */
static int read_section(const struct fetching *fetching, const char *path, const char *name,
                        struct session *session, bool *there, char *reason, size_t size)
{
    struct section section = {.fetching = fetching};
    unsigned int line;
    char *content = NULL, clean[64];
    int r = private_file_read(path, &content, reason, size);
    *there = r != -ENOENT;
    if (r < 0)
        return r;
    size_t length = strlen(content); /* the lines are cut up */
    error_text_clean(name, strlen(name), NULL, clean, sizeof(clean));
    r = ini_read_section(content, name, take, &section, &line);
    if (r == -ENOENT)
        snprintf(reason, size, "profile %s", clean);
    else if (r < 0)
        snprintf(reason, size, "%.160s: line %u: expected [SECTION] or NAME = VALUE", path, line);
    else
        r = by_section(&section, path, clean, session, reason, size);
    OPENSSL_clear_free(content, length);
    return r;
}

/* Of the two usual files the second one counts where the first has no such profile. */
static int read_usual(const struct fetching *fetching, const char *name, struct session *session, char *reason,
                      size_t size)
{
    _cleanup_(free) char *first = provider_home_file(".alibabacloud/credentials");
    _cleanup_(free) char *second = provider_home_file(".alibabacloud/credentials.ini");
    char why[320];
    bool first_is_there, second_is_there;
    if (!first || !second) {
        snprintf(reason, size, "HOME");
        return -ENOENT;
    }
    int r = read_section(fetching, first, name, session, &first_is_there, reason, size);
    if (r != -ENOENT)
        return r;
    r = read_section(fetching, second, name, session, &second_is_there, why, sizeof(why));
    if (r != -ENOENT || (second_is_there && !first_is_there))
        snprintf(reason, size, "%s", why);
    else if (!first_is_there)
        snprintf(reason, size, "%.200s or credentials.ini", first);
    return r;
}

int provider_credentials_file(const struct fetching *fetching, const char *argument,
                              struct session *session, char *reason, size_t size)
{
    const char *given = provider_variable("ALIBABA_CLOUD_CREDENTIALS_FILE");
    const char *profile = argument ? argument : provider_variable("ALIBABA_CLOUD_PROFILE");
    bool there;
    if (!profile)
        profile = "default";
    return given ? read_section(fetching, given, profile, session, &there, reason, size)
                 : read_usual(fetching, profile, session, reason, size);
}
