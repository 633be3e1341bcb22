#include "tests/unit/rig_kms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kmsapi/base/calendar.h"
#include "tests/unit/engine_rig.h"

enum { REQUESTS_MOST = 4096 };

static struct rig_request requests[REQUESTS_MOST];
static unsigned int first, end; /* of those that wait */

static int add(struct rig_request *request, const char *aap, const char *id)
{
    assert_true(end - first < REQUESTS_MOST);
    snprintf(request->aap, sizeof(request->aap), "%s", aap);
    snprintf(request->id, sizeof(request->id), "%s", id);
    requests[end++ % REQUESTS_MOST] = *request;
    return 0;
}

int __wrap_kms_describe_application_access_point(struct transport *transport, const char *name, unsigned int timeout_ms,
                                                 kms_aap_done *done, void *user)
{
    struct rig_request request = {.operation = RIG_DESCRIBE, .timeout_ms = timeout_ms, .aap_done = done, .user = user};
    return add(&request, name, "");
}

int __wrap_kms_list_application_access_points(struct transport *transport, unsigned int timeout_ms, kms_aaps_done *done,
                                              void *user)
{
    struct rig_request request = {.operation = RIG_LIST_AAPS, .timeout_ms = timeout_ms, .aaps_done = done, .user = user};
    return add(&request, "", "");
}

int __wrap_kms_list_client_keys(struct transport *transport, const char *aap_name, unsigned int timeout_ms,
                                kms_client_keys_done *done, void *user)
{
    struct rig_request request = {.operation = RIG_LIST_KEYS, .timeout_ms = timeout_ms, .keys_done = done, .user = user};
    return add(&request, aap_name, "");
}

int __wrap_kms_get_client_key(struct transport *transport, const char *client_key_id, unsigned int timeout_ms,
                              kms_client_key_done *done, void *user)
{
    struct rig_request request = {.operation = RIG_GET, .timeout_ms = timeout_ms, .key_done = done, .user = user};
    return add(&request, "", client_key_id);
}

int __wrap_kms_delete_client_key(struct transport *transport, const char *client_key_id, unsigned int timeout_ms,
                                 kms_simple_done *done, void *user)
{
    struct rig_request request = {.operation = RIG_DELETE, .timeout_ms = timeout_ms, .simple_done = done, .user = user};
    return add(&request, "", client_key_id);
}

int __wrap_kms_create_client_key(struct transport *transport, const struct kms_create_client_key *asked,
                                 unsigned int timeout_ms, kms_client_key_done *done, void *user)
{
    struct rig_request request = {
        .operation = RIG_CREATE, .timeout_ms = timeout_ms, .key_done = done, .user = user, .parked = asked->parked};
    snprintf(request.not_before, sizeof(request.not_before), "%s", asked->not_before ? asked->not_before : "");
    snprintf(request.not_after, sizeof(request.not_after), "%s", asked->not_after ? asked->not_after : "");
    snprintf(request.password, sizeof(request.password), "%s", asked->password);
    return add(&request, asked->aap_name, "");
}

const struct rig_request *rig_request(void)
{
    return first != end ? &requests[first % REQUESTS_MOST] : NULL;
}

/* There is one. */
static const struct rig_request *oldest(void)
{
    assert_non_null(rig_request());
    return &requests[first % REQUESTS_MOST];
}

static const char *const names[] = {
    [RIG_DESCRIBE] = "DescribeApplicationAccessPoint", [RIG_LIST_AAPS] = "ListApplicationAccessPoints",
    [RIG_LIST_KEYS] = "ListClientKeys", [RIG_GET] = "GetClientKey",
    [RIG_CREATE] = "CreateClientKey", [RIG_DELETE] = "DeleteClientKey",
};

const struct rig_request *rig_expect(enum rig_operation operation, const char *aap_or_id)
{
    if (!rig_request())
        fail_msg("nothing is asked of KMS; it was to be %s %s", names[operation], aap_or_id);
    const struct rig_request *request = oldest();
    assert_string_equal(names[request->operation], names[operation]);
    assert_string_equal(request->aap[0] ? request->aap : request->id, aap_or_id);
    return request;
}

void rig_expect_nothing(void)
{
    const struct rig_request *request = rig_request();
    if (request)
        fail_msg("KMS is asked for %s %s%s", names[request->operation], request->aap, request->id);
}

unsigned int rig_count_requests(enum rig_operation operation)
{
    unsigned int count = 0;
    for (unsigned int i = first; i != end; i++)
        count += requests[i % REQUESTS_MOST].operation == operation;
    return count;
}

void rig_postpone(void)
{
    const struct rig_request postponed = *oldest();
    first++;
    requests[end++ % REQUESTS_MOST] = postponed;
}

static void call(const struct rig_request *request, const struct kms_answer *answer, const struct rig_result *result)
{
    bool good = answer->error.number == 0;
    switch (request->operation) {
    case RIG_DESCRIBE:
        request->aap_done(request->user, answer, good ? result->aaps : NULL);
        break;
    case RIG_LIST_AAPS:
        request->aaps_done(request->user, answer, result->aaps, good ? result->count : 0);
        break;
    case RIG_LIST_KEYS:
        request->keys_done(request->user, answer, result->keys, good ? result->count : 0);
        break;
    case RIG_GET:
    case RIG_CREATE:
        request->key_done(request->user, answer, good ? result->keys : NULL);
        break;
    case RIG_DELETE:
        request->simple_done(request->user, answer);
        break;
    }
}

void rig_reply(const struct rig_result *result)
{
    const struct rig_request request = *oldest();
    first++;
    rig.now_ms += RIG_ANSWER_MS;
    int64_t local_ms = rig.now_ms + rig.local_ms;
    bool came = result->error.number == 0 || result->error.http_status;
    const struct transport_answer transport = {
        .server_date = !came ? 0 : result->server_date ? result->server_date : (rig.now_ms + rig.kms_ms) / 1000,
        .time_was_wrong = result->time_was_wrong,
        .sent_at_ms = local_ms - RIG_ANSWER_MS,
        .received_at_ms = local_ms,
        .attempts = 1,
    };
    struct kms_answer answer = {
        .error = result->error, .request_id = "r", .transport = &transport, .uncounted = result->uncounted};
    strcpy(answer.error.operation, names[request.operation]);
    call(&request, &answer, result);
}

void rig_answer(const struct rig_result *result)
{
    rig_reply(result);
    rig_settle();
}

void rig_answer_well(void)
{
    rig_answer(&(struct rig_result){0});
}

static void answer_aap(const char *method, const char *arn)
{
    const struct kms_aap aap = {.name = oldest()->aap, .authentication_method = method, .arn = arn};
    rig_answer(&(struct rig_result){.aaps = &aap});
}

void rig_answer_aap(const char *method)
{
    answer_aap(method ? method : "ClientKey", "acs:kms:" RIG_REGION ":" RIG_ACCOUNT ":applicationaccesspoint/a");
}

void rig_answer_arn(const char *arn)
{
    answer_aap("ClientKey", arn);
}

static void answer_key(const char *client_key_id, const char *private_key_data)
{
    const struct rig_request *request = oldest();
    char begins[ISO_TIME_SIZE], ends[ISO_TIME_SIZE];
    int64_t now = rig.now_ms / 1000;
    iso_time_format(now, begins);
    iso_time_format(calendar_add_years(now, 1, LEAP_DAY_TO_FEBRUARY_28), ends);
    const struct kms_client_key key = {
        .client_key_id = client_key_id,
        .key_algorithm = "RSA_2048",
        .not_before = request->not_before[0] ? request->not_before : begins,
        .not_after = request->not_after[0] ? request->not_after : ends,
        .private_key_data = private_key_data,
        .create_time = begins,
        .public_key_data = "",
        .aap_name = request->aap,
    };
    rig_answer(&(struct rig_result){.keys = &key});
}

void rig_answer_key(const char *client_key_id)
{
    answer_key(client_key_id, RIG_KEY);
}

void rig_answer_no_key(const char *client_key_id)
{
    answer_key(client_key_id, RIG_NO_KEY);
}

void rig_answer_keys(const struct kms_client_key *keys, size_t count)
{
    rig_answer(&(struct rig_result){.keys = keys, .count = count});
}

/* As the transport tells it. */
static void refuse(int number, const char *code, long http_status, bool maybe_done)
{
    struct rig_result result = {.error = {.number = number, .http_status = http_status, .maybe_done = maybe_done}};
    strcpy(result.error.code, code);
    strcpy(result.error.message, "as simulated");
    rig_answer(&result);
}

void rig_refuse(int number, const char *code, long http_status)
{
    refuse(number, code, http_status, false);
}

void rig_lose(void)
{
    enum rig_operation operation = oldest()->operation;
    refuse(ECONNRESET, "Network.Reset", 0, operation == RIG_CREATE || operation == RIG_DELETE);
}

void rig_forget_requests(void)
{
    first = end = 0;
}
