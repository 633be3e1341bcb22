#include "kmsapi/emulator/metadata.h"

#include <stdio.h>
#include <string.h>

#define ROLES "/latest/meta-data/ram/security-credentials/"

enum { SESSION_S = 6 * 3600 };

/* There is one token: whoever may ask for it has it. */
static const char token[] = "emulator-metadata-token";

static void answer_token(const struct metadata *metadata, const struct request *request,
                         struct reply *reply)
{
    unsigned int seconds;
    const char *asked = request_header(request, "x-aliyun-ecs-metadata-token-ttl-seconds");
    if (strcmp(request->method, "PUT") != 0)
        reply_error(reply, 405, "MethodNotAllowed", "PUT it.");
    else if (!asked || sscanf(asked, "%6u", &seconds) != 1 || seconds < 1 || seconds > 21600)
        reply_error(reply, 400, "BadRequest", "X-aliyun-ecs-metadata-token-ttl-seconds: 1 to 21600.");
    else
        reply_text(reply, token);
}

static void answer_role(const struct metadata *metadata, const struct request *request,
                        struct reply *reply)
{
    reply_text(reply, metadata->role);
}

static void answer_region(const struct metadata *metadata, const struct request *request,
                          struct reply *reply)
{
    reply_text(reply, metadata->region);
}

/* Each time another. */
static void answer_session(const struct metadata *metadata, const struct request *request,
                           struct reply *reply)
{
    json_t *session = sessions_issue(metadata->sessions, SESSION_S);
    json_object_set_new(session, "Code", json_string("Success"));
    reply_object(reply, session);
}

static void answer_session_of_role(const struct metadata *metadata, const struct request *request,
                                   struct reply *reply)
{
    if (strcmp(request->path + strlen(ROLES), metadata->role) == 0)
        answer_session(metadata, request, reply);
    else
        reply_error(reply, 404, "NotFound", "No such role.");
}

static const struct row {
    const char *path, *name;
    bool anything_behind, needs_token;
    void (*run)(const struct metadata *metadata, const struct request *request, struct reply *reply);
} table[] = {
    {"/latest/api/token", "Metadata.Token", false, false, answer_token},
    {ROLES, "Metadata.Role", false, true, answer_role},
    {ROLES, "Metadata.Session", true, true, answer_session_of_role},
    {"/latest/meta-data/region-id", "Metadata.Region", false, true, answer_region},
    {"/_credentials", "CredentialsUri", false, false, answer_session},
};

static const struct row *find(const struct request *request)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(request->path, table[i].path) == 0 ||
            (table[i].anything_behind &&
             strncmp(request->path, table[i].path, strlen(table[i].path)) == 0))
            return &table[i];
    return NULL;
}

const char *metadata_operation(const struct request *request)
{
    const struct row *row = request->path ? find(request) : NULL;
    return row ? row->name : NULL;
}

void metadata_run(const struct metadata *metadata, const struct request *request,
                  struct reply *reply)
{
    const struct row *row = find(request);
    const char *told = request_header(request, "x-aliyun-ecs-metadata-token");
    if (row->needs_token && (told ? strcmp(told, token) != 0 : metadata->only_with_token))
        reply_error(reply, 403, "Forbidden", "The metadata token is missing or wrong.");
    else
        row->run(metadata, request, reply);
}
