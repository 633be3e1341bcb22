#include "kmsapi/emulator/aap_operations.h"

#include <stdlib.h>
#include <string.h>

#include "kmsapi/cleanup.h"

enum { NAME_MOST = 128, POLICIES_MOST = 3, PAGE_MOST = 100, PAGE_USUAL = 20 };

/* KMS documents no rule; these are the characters that its examples have. */
static bool is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t size = strlen(name);
    return size > 0 && size <= NAME_MOST && strspn(name, allowed) == size;
}

bool aap_add(const struct operations *operations, const char *name, const char *policies,
             const char *description)
{
    if (!is_name(name))
        return false;
    account_lock(operations->account);
    json_t *aaps = account_aaps(operations->account);
    bool is_new = !json_object_get(aaps, name);
    if (is_new)
        json_object_set_new(aaps, name,
                            json_pack("{s:s, s:s, s:s, s:s}", "Name", name, "Policies", policies,
                                      "Description", description, "AuthenticationMethod",
                                      "ClientKey"));
    account_unlock(operations->account, is_new);
    return is_new;
}

/* An AAP as Describe and Create answer it. */
static json_t *whole(const struct operations *operations, const json_t *aap)
{
    json_t *object = json_copy((json_t *)(uintptr_t)aap);
    char arn[256];
    snprintf(arn, sizeof(arn), "acs:kms:%s:%s:applicationaccesspoint/%s", operations->region,
             operations->account_id, json_string_value(json_object_get(aap, "Name")));
    json_object_set_new(object, "Arn", json_string(arn));
    return object;
}

/* Policies as KMS keeps them: a compact JSON array of at most three names. NULL: not that. free() it. */
static char *read_policies(const char *text)
{
    json_t *list = json_loads(text, 0, NULL);
    bool good = json_is_array(list) && json_array_size(list) <= POLICIES_MOST;
    for (size_t i = 0; good && i < json_array_size(list); i++)
        good = json_is_string(json_array_get(list, i));
    char *policies = good ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return policies;
}

void aap_create(const struct operations *operations, const struct request *request,
                enum fault_kind fault, struct reply *reply)
{
    const char *name = request_parameter(request, "Name");
    const char *policies_text = request_parameter(request, "Policies");
    const char *method = request_parameter(request, "AuthenticationMethod");
    const char *description = request_parameter(request, "Description");
    if (!name || !policies_text) {
        reply_missing(reply, name ? "Policies" : "Name");
        return;
    }
    char *policies = read_policies(policies_text);
    if (!policies)
        reply_invalid(reply, "Policies");
    else if (!is_name(name))
        reply_invalid(reply, "Name");
    else if (method && strcmp(method, "ClientKey") != 0)
        reply_invalid(reply, "AuthenticationMethod");
    else if (!aap_add(operations, name, policies, description ? description : ""))
        reply_error(reply, 409, "Rejected.ResourceExist",
                    "The request was rejected because the resource already exists.");
    else
        aap_describe(operations, request, fault, reply);
    free(policies);
}

void aap_describe(const struct operations *operations, const struct request *request,
                  enum fault_kind fault, struct reply *reply)
{
    const char *name = request_parameter(request, "Name");
    if (!name) {
        reply_missing(reply, "Name");
        return;
    }
    account_lock(operations->account);
    const json_t *aap = json_object_get(account_aaps(operations->account), name);
    if (aap)
        reply_object(reply, whole(operations, aap));
    else
        reply_not_found(reply);
    account_unlock(operations->account, false);
}

/* What is given replaces what was; the name stays. */
void aap_update(const struct operations *operations, const struct request *request,
                enum fault_kind fault, struct reply *reply)
{
    const char *name = request_parameter(request, "Name");
    const char *policies_text = request_parameter(request, "Policies");
    const char *description = request_parameter(request, "Description");
    _cleanup_(free) char *policies = policies_text ? read_policies(policies_text) : NULL;
    if (!name) {
        reply_missing(reply, "Name");
        return;
    }
    if (policies_text && !policies) {
        reply_invalid(reply, "Policies");
        return;
    }
    account_lock(operations->account);
    json_t *aap = json_object_get(account_aaps(operations->account), name);
    if (policies && aap)
        json_object_set_new(aap, "Policies", json_string(policies));
    if (description && aap)
        json_object_set_new(aap, "Description", json_string(description));
    account_unlock(operations->account, aap != NULL);
    if (aap)
        reply_object(reply, json_object());
    else
        reply_not_found(reply);
}

/* Its client keys go with it. */
void aap_delete(const struct operations *operations, const struct request *request,
                enum fault_kind fault, struct reply *reply)
{
    const char *id, *name = request_parameter(request, "Name");
    json_t *key;
    void *next;
    if (!name) {
        reply_missing(reply, "Name");
        return;
    }
    account_lock(operations->account);
    json_t *keys = account_client_keys(operations->account);
    bool deleted = json_object_del(account_aaps(operations->account), name) == 0;
    json_object_foreach_safe(keys, next, id, key)
        if (deleted && strcmp(json_string_value(json_object_get(key, "AapName")), name) == 0)
            json_object_del(keys, id);
    account_unlock(operations->account, deleted);
    if (deleted)
        reply_object(reply, json_object());
    else
        reply_not_found(reply);
}

/* A parameter that is a number of 1 to MOST. */
static bool read_number(const struct request *request, const char *name, long most, long *number,
                        struct reply *reply)
{
    const char *text = request_parameter(request, name);
    char *end;
    if (!text)
        return true;
    long value = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value < 1 || value > most) {
        reply_invalid(reply, name);
        return false;
    }
    *number = value;
    return true;
}

void aap_list(const struct operations *operations, const struct request *request,
              enum fault_kind fault, struct reply *reply)
{
    long page = 1, size = PAGE_USUAL, i = 0;
    const char *name;
    json_t *aap, *found = json_array();
    if (!read_number(request, "PageNumber", 1000000, &page, reply) ||
        !read_number(request, "PageSize", PAGE_MOST, &size, reply)) {
        json_decref(found);
        return;
    }
    account_lock(operations->account);
    json_t *aaps = account_aaps(operations->account);
    json_object_foreach(aaps, name, aap) {
        if (i >= (page - 1) * size && i < page * size)
            json_array_append_new(found, json_pack("{s:s, s:s}", "Name", name,
                                                   "AuthenticationMethod", "ClientKey"));
        i++;
    }
    account_unlock(operations->account, false);
    reply_object(reply, json_pack("{s:I, s:I, s:I, s:{s:o}}", "PageNumber", (json_int_t)page,
                                  "PageSize", (json_int_t)size, "TotalCount", (json_int_t)i,
                                  "ApplicationAccessPoints", "ApplicationAccessPoint", found));
}
