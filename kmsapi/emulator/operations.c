#include "kmsapi/emulator/operations.h"

#include <stdlib.h>
#include <string.h>

#include "kmsapi/base/calendar.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/emulator/aap_operations.h"
#include "kmsapi/emulator/emulator_clock.h"
#include "kmsapi/iso_time.h"

enum { DEFAULT_YEARS = 5 };

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
