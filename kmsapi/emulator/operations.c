#include "kmsapi/emulator/operations.h"

#include <string.h>

#include "kmsapi/base/calendar.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/emulator/emulator_clock.h"
#include "kmsapi/iso_time.h"

enum { DEFAULT_YEARS = 5, NAME_MOST = 128, POLICIES_MOST = 3, PAGE_MOST = 100, PAGE_USUAL = 20 };

/* -- application access points ---------------------------------------------------------- */

/* KMS documents no rule; these are the characters that its examples have. */
static bool is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t size = strlen(name);
    return size > 0 && size <= NAME_MOST && strspn(name, allowed) == size;
}

static bool aap_add(const struct operations *operations, const char *name, const char *policies,
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

static void aap_describe(const struct operations *operations, const struct request *request,
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

static void aap_create(const struct operations *operations, const struct request *request,
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

/* What is given replaces what was; the name stays. */
static void aap_update(const struct operations *operations, const struct request *request,
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
static void aap_delete(const struct operations *operations, const struct request *request,
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

static void aap_list(const struct operations *operations, const struct request *request,
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

/* -- client keys ------------------------------------------------------------------------ */

/* KMS's rule: 8 to 64 of these characters, at least two of the three kinds. */
static bool is_password(const char *text)
{
    static const char digits[] = "0123456789", specials[] = "~!@#$%^&*?_-";
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t size = strlen(text);
    char all[128];
    snprintf(all, sizeof(all), "%s%s%s", digits, letters, specials);
    int kinds = (strpbrk(text, digits) != NULL) + (strpbrk(text, letters) != NULL) +
                (strpbrk(text, specials) != NULL);
    return size >= 8 && size <= 64 && strspn(text, all) == size && kinds >= 2;
}

static int64_t add_span(int64_t seconds, const struct span *span)
{
    return calendar_add_years(seconds, span->years, LEAP_DAY_TO_FEBRUARY_28) + span->seconds;
}

/* 1: given; 0: neither is; -1: REPLY holds the error. */
static int read_dates(const struct request *request, int64_t *not_before, int64_t *not_after,
                      struct reply *reply)
{
    const char *before = request_parameter(request, "NotBefore");
    const char *after = request_parameter(request, "NotAfter");
    if (!before && !after)
        return 0;
    if (!before || !after)
        reply_missing(reply, before ? "NotAfter" : "NotBefore");
    else if (iso_time_parse(before, strlen(before), not_before) < 0)
        reply_invalid(reply, "NotBefore");
    else if (iso_time_parse(after, strlen(after), not_after) < 0 || *not_after <= *not_before)
        reply_invalid(reply, "NotAfter");
    else
        return 1;
    return -1;
}

static bool read_order(const struct operations *operations, const struct request *request,
                       struct key_order *order, struct reply *reply)
{
    order->aap_name = request_parameter(request, "AapName");
    order->password = request_parameter(request, "Password");
    if (!order->aap_name || !order->password) {
        reply_missing(reply, order->aap_name ? "Password" : "AapName");
        return false;
    }
    int given = read_dates(request, &order->not_before, &order->not_after, reply);
    if (given < 0)
        return false;
    if (given == 0) {
        order->not_before = emulator_clock_now();
        order->not_after = add_span(order->not_before, &(struct span){.years = DEFAULT_YEARS});
    }
    if (order->not_after <= emulator_clock_now() ||
        order->not_after < add_span(order->not_before, &operations->min_validity)) {
        reply_invalid(reply, "NotAfter");
        return false;
    }
    if (!is_password(order->password)) {
        reply_invalid(reply, "Password");
        return false;
    }
    return true;
}

/* Under the account's lock. */
static unsigned int count_keys(json_t *keys, const char *aap_name)
{
    const char *id;
    json_t *key;
    unsigned int count = 0;
    json_object_foreach(keys, id, key)
        count += strcmp(json_string_value(json_object_get(key, "AapName")), aap_name) == 0;
    return count;
}

/* Whether one more key may be made. Under the account's lock. */
static bool may_add(const struct operations *operations, const char *aap_name, struct reply *reply)
{
    if (!json_object_get(account_aaps(operations->account), aap_name)) {
        reply_not_found(reply);
        return false;
    }
    if (operations->max_keys &&
        count_keys(account_client_keys(operations->account), aap_name) >= operations->max_keys) {
        reply_error(reply, 400, "Rejected.LimitExceeded",
                    "The request was rejected because user create resource limit was exceeded.");
        return false;
    }
    return true;
}

static void add_key(const struct operations *operations, const struct key_order *order,
                    const struct made_key *made, struct reply *reply)
{
    char created[ISO_TIME_SIZE], before[ISO_TIME_SIZE], after[ISO_TIME_SIZE];
    iso_time_format(emulator_clock_now(), created);
    iso_time_format(order->not_before, before);
    iso_time_format(order->not_after, after);

    account_lock(operations->account);
    bool added = may_add(operations, order->aap_name, reply);
    if (added)
        json_object_set_new(
            account_client_keys(operations->account), made->id,
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ClientKeyId", made->id,
                      "CreateTime", created, "PublicKeyData", made->certificate_pem,
                      "KeyAlgorithm", "RSA_2048", "NotBefore", before, "NotAfter", after,
                      "KeyOrigin", "KMS_PROVIDED", "AapName", order->aap_name));
    account_unlock(operations->account, added);
    if (added)
        reply_object(reply, json_pack("{s:s, s:s, s:s, s:s, s:s}", "ClientKeyId", made->id,
                                      "KeyAlgorithm", "RSA_2048", "PrivateKeyData",
                                      made->private_key_data, "NotBefore", before, "NotAfter",
                                      after));
}

static void create_client_key(const struct operations *operations, const struct request *request,
                              enum fault_kind fault, struct reply *reply)
{
    struct key_order order = {0};
    struct made_key made;
    if (!read_order(operations, request, &order, reply))
        return;
    account_lock(operations->account);
    bool may = may_add(operations, order.aap_name, reply);
    account_unlock(operations->account, false);
    if (!may)
        return;
    order.other_certificate = fault == FAULT_OTHER_CERTIFICATE;
    if (fault == FAULT_WRONG_PASSWORD)
        order.password = "another-Password1";
    if (key_maker_make(operations->key_maker, &order, &made) < 0) {
        reply_error(reply, 500, "InternalError", "The emulator could not make a key and a certificate for this AAP.");
        return;
    }
    add_key(operations, &order, &made, reply);
    made_key_clear(&made);
}

static void list_client_keys(const struct operations *operations, const struct request *request,
                             enum fault_kind fault, struct reply *reply)
{
    const char *id, *aap_name = request_parameter(request, "AapName");
    json_t *key, *found = json_array();
    account_lock(operations->account);
    if (aap_name && !json_object_get(account_aaps(operations->account), aap_name)) {
        reply_not_found(reply);
        json_decref(found);
    } else {
        json_object_foreach(account_client_keys(operations->account), id, key)
            if (!aap_name ||
                strcmp(json_string_value(json_object_get(key, "AapName")), aap_name) == 0)
                json_array_append_new(found, json_copy(key));
        reply_object(reply, json_pack("{s:o}", "ClientKeys", found));
    }
    account_unlock(operations->account, false);
}

/* The request's ClientKeyId; NULL: REPLY holds the error. */
static const char *read_id(const struct request *request, struct reply *reply)
{
    const char *id = request_parameter(request, "ClientKeyId");
    if (!id)
        reply_missing(reply, "ClientKeyId");
    return id;
}

static void get_client_key(const struct operations *operations, const struct request *request,
                           enum fault_kind fault, struct reply *reply)
{
    const char *id = read_id(request, reply);
    if (!id)
        return;
    account_lock(operations->account);
    json_t *key = json_object_get(account_client_keys(operations->account), id);
    if (key)
        reply_object(reply, json_copy(key));
    else
        reply_not_found(reply);
    account_unlock(operations->account, false);
}

static void delete_client_key(const struct operations *operations, const struct request *request,
                              enum fault_kind fault, struct reply *reply)
{
    const char *id = read_id(request, reply);
    if (!id)
        return;
    account_lock(operations->account);
    bool deleted = json_object_del(account_client_keys(operations->account), id) == 0;
    account_unlock(operations->account, deleted);
    if (deleted)
        reply_object(reply, json_object());
    else
        reply_not_found(reply);
}

static const struct {
    const char *name;
    bool only_get;
    void (*run)(const struct operations *operations, const struct request *request,
                enum fault_kind fault, struct reply *reply);
} table[] = {
    {"CreateClientKey", false, create_client_key},
    {"ListClientKeys", true, list_client_keys},
    {"GetClientKey", true, get_client_key},
    {"DeleteClientKey", false, delete_client_key},
    {"CreateApplicationAccessPoint", false, aap_create},
    {"DescribeApplicationAccessPoint", false, aap_describe},
    {"ListApplicationAccessPoints", false, aap_list},
    {"UpdateApplicationAccessPoint", false, aap_update},
    {"DeleteApplicationAccessPoint", false, aap_delete},
};

void operations_run(const struct operations *operations, const struct request *request,
                    enum fault_kind fault, struct reply *reply)
{
    const char *action = request_action(request), *version = request_version(request);
    bool get = strcmp(request->method, "GET") == 0, post = strcmp(request->method, "POST") == 0;
    if (!version || strcmp(version, "2016-01-20") != 0) {
        reply_error(reply, 400, "NoSuchVersion", "The specified version does not exist.");
        return;
    }
    for (size_t i = 0; action && i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(action, table[i].name) != 0)
            continue;
        /* V2's own clients choose the method by themselves */
        if (!get && (!post || (table[i].only_get && !request_is_v2(request))))
            reply_error(reply, 403, "UnsupportedHTTPMethod", "This http method is not supported.");
        else
            table[i].run(operations, request, fault, reply);
        return;
    }
    reply_error(reply, 404, "InvalidApi.NotFound",
                "Specified api is not found, please check your url and method.");
}

bool operations_add_aap(const struct operations *operations, const char *name)
{
    return aap_add(operations, name, "[]", "");
}
