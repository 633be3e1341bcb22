#include "kmsapi/emulator/fault_reply.h"

bool fault_reply_refuse(const struct fault *fault, const struct request *request,
                        struct reply *reply)
{
    const char *password = request_parameter(request, "Password");
    switch (fault->kind) {
    case FAULT_THROTTLE:
        reply_error(reply, 429, "Rejected.Throttling", "QPS Limit Exceeded");
        reply->retry_after_ms = fault->number;
        return true;
    case FAULT_UNAVAILABLE:
        reply_error(reply, 503, "ServiceUnavailableTemporary", "Service Unavailable Temporary.");
        return true;
    case FAULT_INTERNAL:
        reply_error(reply, 500, "InternalFailure", "Internal Failure.");
        return true;
    case FAULT_EXPIRED_CLOCK:
        reply_error(reply, 400, "InvalidTimeStamp.Expired",
                    "Specified time stamp or date value is expired.");
        return true;
    case FAULT_DENIED:
        reply_error(reply, 403, "Forbidden.NoPermission",
                    "This operation is forbidden by permission system.");
        return true;
    case FAULT_CODE:
        reply_error(reply, fault->number, fault->code, "Ordered by a fault.");
        return true;
    case FAULT_SIGNATURE:
        reply_error(reply, 400, "SignatureDoesNotMatch",
                    "Specified signature of %s with Password %s is not matched with our "
                    "calculation. server string to sign is:POST%%26%%2F%%26%s",
                    request->url, password ? password : "", request->url);
        return true;
    default:
        return false;
    }
}

/* Another JSON type for each member. */
static void change_types(json_t *object)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, name, value) {
        json_t *changed = json_is_string(value)    ? json_integer(7)
                          : json_is_integer(value) ? json_string("seven")
                                                   : json_true();
        json_object_set_new(object, name, changed);
    }
}

static void shorten_page(const json_t *object)
{
    json_t *page = json_object_get(json_object_get(object, "ApplicationAccessPoints"),
                                   "ApplicationAccessPoint");
    if (json_array_size(page) > 0)
        json_array_remove(page, json_array_size(page) - 1);
}

static void empty_lists(json_t *object)
{
    json_array_clear(json_object_get(object, "ClientKeys"));
    json_array_clear(json_object_get(json_object_get(object, "ApplicationAccessPoints"),
                                     "ApplicationAccessPoint"));
    if (json_object_get(object, "TotalCount"))
        json_object_set_new(object, "TotalCount", json_integer(0));
}

void fault_reply_break(enum fault_kind fault, struct reply *reply)
{
    if (reply->status != 200)
        return;
    if (fault == FAULT_WRONG_TYPES)
        change_types(reply->object);
    else if (fault == FAULT_SHORT_PAGE)
        shorten_page(reply->object);
    else if (fault == FAULT_EMPTY_LIST)
        empty_lists(reply->object);
    else if (fault == FAULT_MISSING_ID)
        json_object_del(reply->object, "ClientKeyId");
}
