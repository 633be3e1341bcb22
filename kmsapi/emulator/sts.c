#include "kmsapi/emulator/sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DURATION_USUAL_S = 3600, DURATION_LEAST_S = 900, DURATION_MOST_S = 43200, TOKEN_MOST = 8192 };

static const struct {
    const char *action;
    bool oidc;
} table[] = {{"AssumeRole", false}, {"AssumeRoleWithOIDC", true}};

bool sts_has(const char *action, bool *is_unsigned)
{
    for (size_t i = 0; action && i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(action, table[i].action) == 0) {
            *is_unsigned = table[i].oidc;
            return true;
        }
    return false;
}

static bool check_role(const struct request *request, struct reply *reply)
{
    const char *arn = request_parameter(request, "RoleArn");
    const char *name = request_parameter(request, "RoleSessionName");
    char account[33], role[65];
    int end = 0;
    if (!arn || !name) {
        reply_missing(reply, arn ? "RoleSessionName" : "RoleArn");
        return false;
    }
    if (sscanf(arn, "acs:ram::%32[0-9]:role/%64[A-Za-z0-9.-]%n", account, role, &end) == 2 && !arn[end])
        return true;
    reply_error(reply, 404, "EntityNotExist.Role", "The role not exists.");
    return false;
}

static bool read_duration(const struct request *request, int64_t *duration_s, struct reply *reply)
{
    const char *text = request_parameter(request, "DurationSeconds");
    *duration_s = text ? strtol(text, NULL, 10) : DURATION_USUAL_S;
    if (*duration_s >= DURATION_LEAST_S && *duration_s <= DURATION_MOST_S)
        return true;
    reply_error(reply, 400, "InvalidParameter.DurationSeconds",
                "The Min/Max value of DurationSeconds is 15min/12hr.");
    return false;
}

/* As the file has it, but for the newline at its end. */
static bool is_good_token(const char *token, const char *path)
{
    char right[TOKEN_MOST] = "";
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(right, 1, sizeof(right) - 1, file) : 0;
    if (file)
        fclose(file);
    right[size] = '\0';
    right[strcspn(right, "\n")] = '\0';
    return right[0] && strcmp(token, right) == 0;
}

static bool check_oidc(const struct sts *sts, const struct request *request, struct reply *reply)
{
    const char *token = request_parameter(request, "OIDCToken");
    if (!token || !request_parameter(request, "OIDCProviderArn")) {
        reply_missing(reply, token ? "OIDCProviderArn" : "OIDCToken");
        return false;
    }
    if (!sts->oidc_token_file || is_good_token(token, sts->oidc_token_file))
        return true;
    reply_error(reply, 400, "AuthenticationFail.OIDCToken.Invalid",
                "This OIDC token is not valid or has expired.");
    return false;
}

void sts_run(const struct sts *sts, const struct request *request, struct reply *reply)
{
    const char *version = request_version(request);
    bool oidc = false;
    int64_t duration_s;
    sts_has(request_action(request), &oidc);
    if (!version || strcmp(version, "2015-04-01") != 0) {
        reply_error(reply, 400, "NoSuchVersion", "The specified version does not exist.");
        return;
    }
    if (!check_role(request, reply) || (oidc && !check_oidc(sts, request, reply)) ||
        !read_duration(request, &duration_s, reply))
        return;
    const char *arn = request_parameter(request, "RoleArn");
    reply_object(reply, json_pack("{s:{s:s, s:s}, s:o}", "AssumedRoleUser", "Arn", arn, "AssumedRoleId",
                                  "300000000000000001:session", "Credentials",
                                  sessions_issue(sts->sessions, duration_s)));
}
