#include "kmsapi/emulator/exchange.h"

#include <string.h>

#include "kmsapi/emulator/emulator_clock.h"
#include "kmsapi/iso_time.h"

/* As faults and counts know it. */
static const char *operation_name(const struct request *request)
{
    const char *name = metadata_operation(request);
    if (!name)
        name = instance_operation(request);
    if (!name)
        name = request_action(request);
    return name ? name : "none";
}

static void count(struct exchange_log *log, const struct request *request)
{
    const char *name = operation_name(request);
    pthread_mutex_lock(&log->lock);
    json_int_t so_far = json_integer_value(json_object_get(log->counts, name));
    json_object_set_new(log->counts, name, json_integer(so_far + 1));
    if (log->record) {
        json_t *line = request_to_json(request);
        json_dumpf(line, log->record, JSON_COMPACT);
        fputc('\n', log->record);
        fflush(log->record);
        json_decref(line);
    }
    pthread_mutex_unlock(&log->lock);
}

static void set_clock(const struct request *request, struct reply *reply)
{
    int64_t seconds;
    json_t *object = json_loads(request->body ? request->body : "", 0, NULL);
    const char *text = json_string_value(json_object_get(object, "Time"));
    if (text && iso_time_parse(text, strlen(text), &seconds) == 0) {
        emulator_clock_set(seconds);
        reply_object(reply, json_object());
    } else {
        reply_invalid(reply, "Time");
    }
    json_decref(object);
}

/* The emulator's own paths, which KMS does not have. */
static void answer_own(struct exchange_log *log, const struct request *request, struct reply *reply)
{
    if (strcmp(request->path, "/_emulator/requests") == 0 &&
        strcmp(request->method, "GET") == 0) {
        pthread_mutex_lock(&log->lock);
        reply_object(reply, json_copy(log->counts));
        pthread_mutex_unlock(&log->lock);
    } else if (strcmp(request->path, "/_emulator/clock") == 0 &&
               strcmp(request->method, "PUT") == 0) {
        set_clock(request, reply);
    } else {
        reply_not_found(reply);
    }
}

static enum exchange_end ending(enum fault_kind fault)
{
    switch (fault) {
    case FAULT_RESET_AFTER:
        return EXCHANGE_DROP;
    case FAULT_TRUNCATE:
        return EXCHANGE_TRUNCATE;
    case FAULT_GARBAGE:
        return EXCHANGE_GARBAGE;
    case FAULT_HUGE:
        return EXCHANGE_HUGE;
    default:
        return EXCHANGE_ANSWER;
    }
}

static void run(const struct server_parts *parts, const struct request *request,
                enum fault_kind fault, struct reply *reply)
{
    bool is_unsigned;
    if (metadata_operation(request))
        metadata_run(parts->metadata, request, reply);
    else if (instance_operation(request))
        instance_run(parts->instance, request, reply);
    else if (sts_has(request_action(request), &is_unsigned))
        sts_run(parts->sts, request, reply);
    else
        operations_run(parts->operations, request, fault, reply);
}

/* Whether it is from somebody who may ask. False: REPLY holds the error. */
static bool check_signature(const struct server_parts *parts, const struct request *request,
                            struct reply *reply)
{
    bool is_unsigned = false;
    if (metadata_operation(request))
        return true;
    if (instance_operation(request))
        return instance_signature_check(parts->instance->account, request, reply);
    return (sts_has(request_action(request), &is_unsigned) && is_unsigned) ||
           signatures_check(parts->signatures, request, reply);
}

static enum exchange_end answer_request(const struct server_parts *parts, struct request *request,
                                        exchange_wait *wait, void *user, struct reply *reply)
{
    if (!check_signature(parts, request, reply))
        return EXCHANGE_ANSWER;
    struct fault fault = faults_choose(parts->faults, operation_name(request));
    if (fault.kind == FAULT_RESET_BEFORE)
        return EXCHANGE_DROP;
    if (fault.kind == FAULT_SILENT && !wait(user, -1, false))
        return EXCHANGE_DROP;
    if ((fault.kind == FAULT_DELAY || fault.kind == FAULT_LATE) &&
        !wait(user, (int)fault.number, fault.kind == FAULT_LATE))
        return EXCHANGE_DROP;
    if (fault_reply_refuse(&fault, request, reply))
        return EXCHANGE_ANSWER;
    run(parts, request, fault.kind, reply);
    fault_reply_break(fault.kind, reply);
    return ending(fault.kind);
}

static void add_ids(const struct request *request, struct reply *reply)
{
    char id[37] = "";
    const char *host = request_header(request, "host");
    if (!reply->object)
        reply_no_memory(reply);
    key_maker_uuid(id);
    json_object_set_new(reply->object, "RequestId", json_string(id));
    if (reply->status != 200)
        json_object_set_new(reply->object, "HostId", json_string(host ? host : ""));
}

enum exchange_end exchange_run(const struct server_parts *parts, struct exchange_log *log,
                               struct request *request, exchange_wait *wait, void *user,
                               struct reply *reply)
{
    enum exchange_end end = EXCHANGE_ANSWER;
    if (strncmp(request->path, "/_emulator/", strlen("/_emulator/")) == 0) {
        answer_own(log, request, reply);
        return end;
    }
    bool legible = request_read_form(request) == 0; /* V2 has its action there */
    count(log, request);
    if (!legible)
        reply_error(reply, 400, "ParseRequestParameterException",
                    "Server parse parameters exception. Please check your input params.");
    else if (strcmp(request->path, "/") == 0 || metadata_operation(request))
        end = answer_request(parts, request, wait, user, reply);
    else
        reply_error(reply, 404, "InvalidApi.NotFound",
                    "Specified api is not found, please check your url and method.");
    if (end != EXCHANGE_DROP && !metadata_operation(request))
        add_ids(request, reply);
    if (end != EXCHANGE_DROP && !metadata_operation(request) && instance_operation(request))
        instance_dress(reply);
    return end;
}
