#include "kmsapi/kms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kmsapi/iso_time.h"
#include "kmsapi/kms_answer.h"
#include "kmsapi/transport_error.h"

enum { PAGE_SIZE = 100, AAPS_MOST = 100000, ALGORITHM_MOST = 64 };

/* One request under way, with the callback of its kind. */
struct call {
    union {
        kms_client_key_done *client_key;
        kms_client_keys_done *client_keys;
        kms_simple_done *simple;
        kms_aap_done *aap;
    } done;
    void *user;
    void (*parked)(void *user);
};

/* What is read of an answer, whatever the operation. */
struct reading {
    struct kms_answer answer;
    json_t *object;
};

/* KNOWN: what stands in an answer of this operation, beside RequestId; NULL ends. KEY: it brings a new client key. */
static void begin_reading(struct reading *reading, const struct transport_answer *transport, const char *const *known, bool key)
{
    *reading = (struct reading){.answer = {.error = transport->error, .transport = transport}};
    struct kms_error *error = &reading->answer.error;
    if (error->number == 0) {
        (void)(key ? kms_answer_parse_key : kms_answer_parse)(transport, known, &reading->object, error);
        kms_error_set_request_id(error, kms_answer_text(reading->object, "RequestId"), NULL);
    }
    reading->answer.request_id = error->request_id;
}

static bool is_good(const struct reading *reading)
{
    return reading->answer.error.number == 0;
}

/* CALL is freed by the callback of the request, or here when there will be none. */
static int start(struct transport *transport, const struct transport_request *request,
                 transport_done *done, const struct call *call)
{
    struct call *kept = malloc(sizeof(*kept));
    if (!kept)
        return -ENOMEM;
    *kept = *call;
    struct transport_request dropping = *request;
    dropping.drop = free;
    int r = transport_start(transport, &dropping, done, kept);
    if (r < 0)
        free(kept);
    return r;
}

/* The only one that there is: what KMS says instead, or does not say, is none. */
static const char *algorithm(const char *text)
{
    size_t size = strlen(text);
    bool good = size > 0 && size <= ALGORITHM_MOST &&
                strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") == size;
    return good ? text : "RSA_2048";
}

static const char *date_or_nothing(const char *text)
{
    int64_t seconds;
    return iso_time_parse(text, strlen(text), &seconds) == 0 ? text : "";
}

/* The id and the private half are all that counts: nothing that came beside them loses a key. */
static void client_key_created(void *user, const struct transport_answer *transport)
{
    static const char *const names[] = {"ClientKeyId", "PrivateKeyData", "KeyAlgorithm", "NotBefore", "NotAfter", "RequestId", NULL};
    struct call *call = user;
    struct reading reading;
    begin_reading(&reading, transport, names, true);
    struct kms_error *error = &reading.answer.error;
    const struct kms_client_key key = {
        .client_key_id = kms_answer_text(reading.object, "ClientKeyId"),
        .private_key_data = kms_answer_text(reading.object, "PrivateKeyData"),
        .key_algorithm = algorithm(kms_answer_text(reading.object, "KeyAlgorithm")),
        .not_before = date_or_nothing(kms_answer_text(reading.object, "NotBefore")),
        .not_after = date_or_nothing(kms_answer_text(reading.object, "NotAfter")),
    };
    if (is_good(&reading) && !key.client_key_id[0])
        transport_error_set(error, EKEYREJECTED, "Answer.NoClientKeyId",
                            "KMS made a key and did not tell its ClientKeyId");
    if (transport->error.number == 0 && !is_good(&reading))
        error->maybe_done = true;
    call->done.client_key(call->user, &reading.answer, is_good(&reading) ? &key : NULL);
    json_decref(reading.object);
    free(call);
}

static void client_key_parked(void *user)
{
    const struct call *call = user;
    call->parked(call->user);
}

int kms_create_client_key(struct transport *transport, const struct kms_create_client_key *request,
                          unsigned int timeout_ms, kms_client_key_done *done, void *user)
{
    const struct acs3_pair query[] = {
        {"AapName", request->aap_name},
        {"Password", request->password},
        {"NotBefore", request->not_before},
        {"NotAfter", request->not_after},
    };
    const struct transport_request http = {
        .kind = TRANSPORT_CREATE,
        .method = "POST",
        .operation = "CreateClientKey",
        .version = KMS_API_VERSION,
        .query = query,
        .query_count = request->not_before ? 4 : 2,
        .password = request->password,
        .timeout_ms = timeout_ms,
        .parked = request->parked ? client_key_parked : NULL,
        .park_ms = request->park_ms,
        .dated = request->dated,
    };
    const struct call call = {.done.client_key = done, .user = user, .parked = request->parked};
    return start(transport, &http, client_key_created, &call);
}

static void client_key_got(void *user, const struct transport_answer *transport)
{
    static const char *const known[] = {"ClientKeyId", NULL};
    struct call *call = user;
    struct kms_client_key key = {0};
    struct reading reading;
    begin_reading(&reading, transport, known, false);
    if (is_good(&reading))
        kms_answer_client_key(reading.object, &key, &reading.answer.error);
    call->done.client_key(call->user, &reading.answer, is_good(&reading) ? &key : NULL);
    json_decref(reading.object);
    free(call);
}

/* A request with one parameter. */
static int start_simple(struct transport *transport, enum transport_kind kind, const char *method,
                        const char *operation, const struct acs3_pair *parameter,
                        unsigned int timeout_ms, transport_done *done, const struct call *call)
{
    const struct transport_request http = {
        .kind = kind,
        .method = method,
        .operation = operation,
        .version = KMS_API_VERSION,
        .query = parameter,
        .query_count = 1,
        .timeout_ms = timeout_ms,
    };
    return start(transport, &http, done, call);
}

int kms_get_client_key(struct transport *transport, const char *client_key_id,
                       unsigned int timeout_ms, kms_client_key_done *done, void *user)
{
    const struct acs3_pair parameter = {"ClientKeyId", client_key_id};
    const struct call call = {.done.client_key = done, .user = user};
    return start_simple(transport, TRANSPORT_READ, "GET", "GetClientKey", &parameter, timeout_ms,
                        client_key_got, &call);
}

static void client_keys_listed(void *user, const struct transport_answer *transport)
{
    static const char *const known[] = {"ClientKeys", NULL};
    struct call *call = user;
    struct reading reading;
    struct kms_client_key *keys = NULL;
    const json_t *list = NULL;
    size_t count = 0;

    begin_reading(&reading, transport, known, false);
    struct kms_error *error = &reading.answer.error;
    if (is_good(&reading))
        kms_answer_list(reading.object, "ClientKeys", "ClientKey", &list, error);
    if (is_good(&reading)) {
        count = json_array_size(list);
        keys = calloc(count + 1, sizeof(*keys));
        if (!keys)
            transport_error_set(error, ENOMEM, "Memory", "memory is short");
    }
    for (size_t i = 0; is_good(&reading) && i < count; i++)
        kms_answer_client_key(json_array_get(list, i), &keys[i], error);
    bool good = is_good(&reading);
    call->done.client_keys(call->user, &reading.answer, good ? keys : NULL, good ? count : 0);
    free(keys);
    json_decref(reading.object);
    free(call);
}

int kms_list_client_keys(struct transport *transport, const char *aap_name,
                         unsigned int timeout_ms, kms_client_keys_done *done, void *user)
{
    const struct acs3_pair parameter = {"AapName", aap_name};
    const struct call call = {.done.client_keys = done, .user = user};
    return start_simple(transport, TRANSPORT_READ, "GET", "ListClientKeys", &parameter, timeout_ms,
                        client_keys_listed, &call);
}

static void client_key_deleted(void *user, const struct transport_answer *transport)
{
    static const char *const known[] = {NULL};
    struct call *call = user;
    struct reading reading;
    begin_reading(&reading, transport, known, false);
    call->done.simple(call->user, &reading.answer);
    json_decref(reading.object);
    free(call);
}

int kms_delete_client_key(struct transport *transport, const char *client_key_id,
                          unsigned int timeout_ms, kms_simple_done *done, void *user)
{
    const struct acs3_pair parameter = {"ClientKeyId", client_key_id};
    const struct call call = {.done.simple = done, .user = user};
    return start_simple(transport, TRANSPORT_WRITE, "POST", "DeleteClientKey", &parameter,
                        timeout_ms, client_key_deleted, &call);
}

bool kms_aap_may_have_client_keys(const char *authentication_method)
{
    return strncasecmp(authentication_method, "RAM", 3) != 0;
}

/* Only the Arn is of use, and whoever uses it says so where there is none. */
static void aap_got(void *user, const struct transport_answer *transport)
{
    static const char *const known[] = {"Name", "Arn", "AuthenticationMethod", NULL};
    struct call *call = user;
    struct reading reading;
    begin_reading(&reading, transport, known, false);
    const struct kms_aap aap = {
        .name = kms_answer_text(reading.object, "Name"),
        .authentication_method = kms_answer_text(reading.object, "AuthenticationMethod"),
        .arn = kms_answer_text(reading.object, "Arn"),
        .description = kms_answer_text(reading.object, "Description"),
        .policies = kms_answer_text(reading.object, "Policies"),
    };
    call->done.aap(call->user, &reading.answer, is_good(&reading) ? &aap : NULL);
    json_decref(reading.object);
    free(call);
}

int kms_describe_application_access_point(struct transport *transport, const char *name,
                                          unsigned int timeout_ms, kms_aap_done *done, void *user)
{
    const struct acs3_pair parameter = {"Name", name};
    const struct call call = {.done.aap = done, .user = user};
    return start_simple(transport, TRANSPORT_READ, "POST", "DescribeApplicationAccessPoint",
                        &parameter, timeout_ms, aap_got, &call);
}

int kms_create_application_access_point(struct transport *transport, const char *name,
                                        const char *policies, const char *description,
                                        unsigned int timeout_ms, kms_aap_done *done, void *user)
{
    const struct acs3_pair query[] = {
        {"Name", name},
        {"Policies", policies},
        {"AuthenticationMethod", "ClientKey"},
        {"Description", description},
    };
    const struct transport_request http = {
        .kind = TRANSPORT_CREATE,
        .method = "POST",
        .operation = "CreateApplicationAccessPoint",
        .version = KMS_API_VERSION,
        .query = query,
        .query_count = description ? 4 : 3,
        .timeout_ms = timeout_ms,
    };
    const struct call call = {.done.aap = done, .user = user};
    return start(transport, &http, aap_got, &call);
}

/* A listing on its way, page by page. */
struct listing {
    struct transport *transport;
    unsigned int timeout_ms;
    kms_aaps_done *done;
    void *user;
    unsigned int page;
    json_t *pages; /* the answers: the names stay in them */
    struct kms_aap *aaps;
    size_t count, total;
    bool uncounted; /* KMS did not tell the total: an empty page is the end */
};

static void free_listing(void *user)
{
    struct listing *listing = user;
    json_decref(listing->pages);
    free(listing->aaps);
    free(listing);
}

static void listing_ended(struct listing *listing, const struct kms_answer *answer)
{
    struct kms_answer told = *answer;
    bool good = answer->error.number == 0;
    told.uncounted = listing->uncounted && listing->count > 0;
    listing->done(listing->user, &told, good ? listing->aaps : NULL, good ? listing->count : 0);
    free_listing(listing);
}

static int take_names(struct listing *listing, const json_t *list, struct kms_error *error)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct kms_aap aap = {.authentication_method = kms_answer_text(item, "AuthenticationMethod")};
        if (kms_answer_string(item, "Name", &aap.name, error) < 0)
            return -EIO;
        listing->aaps[listing->count++] = aap;
    }
    return 0;
}

/* A KMS that tells no total, and no end either. */
static bool turns_no_pages(const struct listing *listing, const json_t *list)
{
    const char *first = kms_answer_text(json_array_get(list, 0), "Name");
    return listing->uncounted && listing->count > 0 && strcmp(listing->aaps[0].name, first) == 0;
}

static int take_page(struct listing *listing, json_t *object, struct kms_error *error)
{
    const json_t *list;
    if (kms_answer_list(object, "ApplicationAccessPoints", "ApplicationAccessPoint", &list, error) < 0)
        return -EIO;
    size_t count = json_array_size(list);
    if (!kms_answer_number(object, "TotalCount", &listing->total)) {
        listing->uncounted = true;
        listing->total = listing->count + count + (count > 0);
    }
    if (listing->count + count > listing->total || listing->total > AAPS_MOST ||
        (count == 0 && listing->count < listing->total) || turns_no_pages(listing, list)) {
        transport_error_set(error, EIO, "Answer.Incomplete",
                            "the pages of the listing do not add up to TotalCount");
        return -EIO;
    }
    struct kms_aap *grown =
        reallocarray(listing->aaps, listing->count + count + 1, sizeof(*grown));
    if (!grown || json_array_append(listing->pages, object) < 0) {
        listing->aaps = grown ? grown : listing->aaps;
        transport_error_set(error, ENOMEM, "Memory", "memory is short");
        return -ENOMEM;
    }
    listing->aaps = grown;
    return take_names(listing, list, error);
}

static int ask_for_page(struct listing *listing);

static void page_listed(void *user, const struct transport_answer *transport)
{
    static const char *const known[] = {"ApplicationAccessPoints", "TotalCount", "PageNumber", "PageSize", NULL};
    struct listing *listing = user;
    struct reading reading;
    begin_reading(&reading, transport, known, false);
    if (is_good(&reading))
        take_page(listing, reading.object, &reading.answer.error);
    bool more = is_good(&reading) && listing->count < listing->total;
    if (more && ask_for_page(listing) < 0) {
        transport_error_set(&reading.answer.error, ENOMEM, "Memory", "memory is short");
        more = false;
    }
    if (!more)
        listing_ended(listing, &reading.answer);
    json_decref(reading.object);
}

static int ask_for_page(struct listing *listing)
{
    char page[16], size[16];
    snprintf(page, sizeof(page), "%u", ++listing->page);
    snprintf(size, sizeof(size), "%d", PAGE_SIZE);
    const struct acs3_pair query[] = {{"PageNumber", page}, {"PageSize", size}};
    const struct transport_request http = {
        .kind = TRANSPORT_READ,
        .method = "POST",
        .operation = "ListApplicationAccessPoints",
        .version = KMS_API_VERSION,
        .query = query,
        .query_count = 2,
        .timeout_ms = listing->timeout_ms,
        .drop = free_listing,
    };
    return transport_start(listing->transport, &http, page_listed, listing);
}

int kms_list_application_access_points(struct transport *transport, unsigned int timeout_ms,
                                       kms_aaps_done *done, void *user)
{
    struct listing *listing = calloc(1, sizeof(*listing));
    if (!listing)
        return -ENOMEM;
    *listing = (struct listing){.transport = transport, .timeout_ms = timeout_ms, .done = done,
                                .user = user, .pages = json_array()};
    if (listing->pages && ask_for_page(listing) == 0)
        return 0;
    free_listing(listing);
    return -ENOMEM;
}
