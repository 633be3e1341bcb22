/*
 * ~/.alibabacloud/credentials: the file that the SDKs share.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kmsapi/credentials/ini.h"
#include "kmsapi/credentials/private_file.h"
#include "kmsapi/credentials/provider.h"
#include "kmsapi/credentials/sts.h"
#include "kmsapi/error_text.h"
#include "kmsapi/openssl_cleanup.h"

enum key {
    KEY_TYPE, KEY_ID, KEY_SECRET, KEY_ROLE_NAME, KEY_ROLE_ARN, KEY_SESSION_NAME, KEY_POLICY,
    KEY_OIDC_PROVIDER, KEY_OIDC_TOKEN_FILE, KEY_COUNT,
};

static const char *const key_names[KEY_COUNT] = {
    "type", "access_key_id", "access_key_secret", "role_name", "role_arn", "role_session_name",
    "policy", "oidc_provider_arn", "oidc_token_file_path",
};

struct section {
    const char *values[KEY_COUNT]; /* in the file's text; NULL: not there, or empty */
};

/* Other keys belong to types that others have. */
static bool take(void *user, const char *key, const char *value)
{
    struct section *section = user;
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(key, key_names[i]) == 0) {
            if (section->values[i])
                return false;
            section->values[i] = value[0] ? value : NULL;
        }
    return true;
}

static int by_type(const struct fetching *fetching, const struct section *section,
                   struct session *session, char *reason, size_t size)
{
    const char *const *values = section->values;
    const char *type = values[KEY_TYPE] ? values[KEY_TYPE] : "";
    const struct sts_role role = {.arn = values[KEY_ROLE_ARN],
                                  .session_name = values[KEY_SESSION_NAME],
                                  .policy = values[KEY_POLICY]};
    char clean[48];
    if (strcmp(type, "access_key") == 0)
        return credentials_set(&session->credentials, values[KEY_ID], values[KEY_SECRET], NULL,
                               reason, size);
    if (strcmp(type, "ecs_ram_role") == 0)
        return provider_ecs_ram_role(fetching, values[KEY_ROLE_NAME], session, reason, size);
    if (strcmp(type, "ram_role_arn") == 0) {
        struct credentials own;
        int r = credentials_set(&own, values[KEY_ID], values[KEY_SECRET], NULL, reason, size);
        if (r == 0)
            r = sts_assume_role(fetching, &own, &role, session, reason, size);
        credentials_clear(&own);
        return r;
    }
    if (strcmp(type, "oidc_role_arn") == 0 && values[KEY_OIDC_PROVIDER] && values[KEY_OIDC_TOKEN_FILE])
        return sts_assume_role_with_oidc(fetching, values[KEY_OIDC_PROVIDER],
                                         values[KEY_OIDC_TOKEN_FILE], &role, session, reason, size);
    if (strcmp(type, "oidc_role_arn") == 0) {
        snprintf(reason, size, "oidc_provider_arn or oidc_token_file_path is missing");
        return -EINVAL;
    }
    error_text_clean(type, strlen(type), NULL, clean, sizeof(clean));
    snprintf(reason, size, "type %s is not supported; these are: access_key, ecs_ram_role, "
                           "ram_role_arn, oidc_role_arn", clean[0] ? clean : "(none)");
    return -EINVAL;
}

static int read_section(const struct fetching *fetching, const char *path, const char *name,
                        struct session *session, char *reason, size_t size)
{
    struct section section = {0};
    unsigned int line;
    char *content = NULL;
    char why[256], clean[64];
    int r = private_file_read(path, &content, reason, size);
    if (r < 0)
        return r;
    size_t length = strlen(content); /* the lines are cut up */
    error_text_clean(name, strlen(name), NULL, clean, sizeof(clean));
    r = ini_read_section(content, name, take, &section, &line);
    if (r == -ENOENT) {
        snprintf(reason, size, "profile %s", clean);
    } else if (r < 0) {
        snprintf(reason, size, "%.160s: line %u: expected [SECTION] or NAME = VALUE, each once", path,
                 line);
    } else {
        r = by_type(fetching, &section, session, why, sizeof(why));
        if (r < 0 && r != -ENOMEM) {
            snprintf(reason, size, "profile %s: %s", clean, why);
            r = -EINVAL;
        }
    }
    OPENSSL_clear_free(content, length);
    return r;
}

int provider_credentials_file(const struct fetching *fetching, const char *argument,
                              struct session *session, char *reason, size_t size)
{
    const char *given = provider_variable("ALIBABA_CLOUD_CREDENTIALS_FILE");
    const char *profile = argument ? argument : provider_variable("ALIBABA_CLOUD_PROFILE");
    _cleanup_(free) char *path = given ? strdup(given) : provider_home_file(".alibabacloud/credentials");
    if (!path) {
        snprintf(reason, size, "HOME");
        return -ENOENT;
    }
    return read_section(fetching, path, profile ? profile : "default", session, reason, size);
}
