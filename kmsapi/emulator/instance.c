#include "kmsapi/emulator/instance.h"

#include <string.h>

#include "kmsapi/emulator/emulator_clock.h"
#include "kmsapi/iso_time.h"

#define API_NAME_HEADER "x-kms-apiname"

static const struct protobuf_field secret_request[] = {
    {1, PROTOBUF_STRING, "SecretName"},       {2, PROTOBUF_STRING, "VersionStage"},
    {3, PROTOBUF_STRING, "VersionId"},        {4, PROTOBUF_BOOL, "FetchExtendedConfig"},
    {0, 0, NULL},
};

static const struct protobuf_field secret_answer[] = {
    {1, PROTOBUF_STRING, "SecretName"},     {2, PROTOBUF_STRING, "SecretType"},
    {3, PROTOBUF_STRING, "SecretData"},     {4, PROTOBUF_STRING, "SecretDataType"},
    {5, PROTOBUF_STRING, "VersionStages"},  {6, PROTOBUF_STRING, "VersionId"},
    {7, PROTOBUF_STRING, "CreateTime"},     {8, PROTOBUF_STRING, "RequestId"},
    {0, 0, NULL},
};

static const struct protobuf_field error_answer[] = {
    {1, PROTOBUF_INTEGER, "StatusCode"}, {2, PROTOBUF_STRING, "Code"},
    {3, PROTOBUF_STRING, "Message"},     {4, PROTOBUF_STRING, "RequestId"},
    {0, 0, NULL},
};

/* What an instance has and the emulator has not. */
static const char *const unsupported[] = {
    "Encrypt", "Decrypt", "Sign", "Verify", "GenerateRandom", "GenerateDataKey", "GetPublicKey",
    "AdvanceEncrypt", "AdvanceDecrypt", "AdvanceGenerateDataKey",
};

/* What may stand in an error: bytes that are no text would spoil it. */
static const char *harmless(const char *text)
{
    for (const char *c = text ? text : ""; *c; c++)
        if (*c < ' ' || *c > '~')
            return "";
    return text ? text : "";
}

/* The value behind NAME: in NAME:VALUE; NULL: there is no such secret. */
static const char *find_secret(const struct instance *instance, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < instance->secret_count; i++)
        if (strncmp(instance->secrets[i], name, size) == 0 && instance->secrets[i][size] == ':')
            return instance->secrets[i] + size + 1;
    return NULL;
}

/* There is one version of each. */
static bool is_version(const json_t *asked)
{
    const char *stage = json_string_value(json_object_get(asked, "VersionStage"));
    const char *id = json_string_value(json_object_get(asked, "VersionId"));
    return (!stage || !*stage || strcmp(stage, "ACSCurrent") == 0) &&
           (!id || !*id || strcmp(id, "v1") == 0);
}

static void get_secret_value(const struct instance *instance, const json_t *asked,
                             struct reply *reply)
{
    char created[ISO_TIME_SIZE];
    const char *name = json_string_value(json_object_get(asked, "SecretName"));
    if (!name || !*name) {
        reply_missing(reply, "SecretName");
        return;
    }
    const char *value = strchr(name, ':') ? NULL : find_secret(instance, name);
    if (!value || !is_version(asked)) {
        reply_not_found(reply);
        return;
    }
    iso_time_format(emulator_clock_now(), created);
    reply_object(reply, json_pack("{s:s, s:s, s:s, s:s, s:[s], s:s, s:s}", "SecretName", name,
                                  "SecretType", "Generic", "SecretData", value, "SecretDataType",
                                  "text", "VersionStages", "ACSCurrent", "VersionId", "v1",
                                  "CreateTime", created));
}

static bool is_unsupported(const char *name)
{
    for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
        if (strcmp(name, unsupported[i]) == 0)
            return true;
    return false;
}

const char *instance_operation(const struct request *request)
{
    const char *name = request_header(request, API_NAME_HEADER);
    const char *type = request_header(request, "content-type");
    if (name && strcmp(name, "GetSecretValue") == 0)
        return "Instance.GetSecretValue";
    return name || (type && strcmp(type, "application/x-protobuf") == 0) ? "Instance.Other" : NULL;
}

void instance_run(const struct instance *instance, const struct request *request,
                  struct reply *reply)
{
    const char *name = request_header(request, API_NAME_HEADER);
    if (!name || (strcmp(name, "GetSecretValue") != 0 && !is_unsupported(name))) {
        reply_error(reply, 400, "InvalidApiName", "The ApiName \"%.100s\" is invalid.",
                    harmless(name));
        return;
    }
    if (is_unsupported(name) || strcmp(request->method, "POST") != 0 || strcmp(request->url, "/") != 0) {
        reply_error(reply, 400, "UnsupportedOperation", "Rejected.UnsupportedOperation");
        return;
    }
    json_t *asked = protobuf_read(secret_request, request->body ? request->body : "",
                                  request->body_size);
    if (asked)
        get_secret_value(instance, asked, reply);
    else
        reply_error(reply, 400, "InvalidParameter", "The specified parameter is not valid.");
    json_decref(asked);
}

void instance_dress(struct reply *reply)
{
    reply->message = reply->status == 200 ? secret_answer : error_answer;
    if (reply->status != 200)
        json_object_set_new(reply->object, "StatusCode", json_integer(reply->status));
}
