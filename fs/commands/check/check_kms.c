#include "fs/commands/check/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/commands/check/check_ask.h"
#include "fs/commands/check/check_places.h"

enum { CLOCK_WARNING_MS = 60 * 1000, DESCRIBED_MOST = 100 };

static const char no_key[] = "KAAP.00000000-0000-0000-0000-000000000000";

struct kms_check {
    struct check *check;
    struct asking asking;
    size_t hidden;      /* AAPs that cannot be shown */
    size_t ram_roles;   /* AAPs that have no client keys */
    const char *keyed;  /* one that KMS has and that may have some; NULL: none is known */
    char arn[ASK_TEXT_SIZE]; /* its; "": not known */
    bool keys_listed;
};

/* NULL: memory is short. */
static struct check_aap *add_aap(struct check *check, const char *name)
{
    struct check_aap *grown = reallocarray(check->aaps, check->aap_count + 1, sizeof(*grown));
    if (!grown)
        return NULL;
    check->aaps = grown;
    grown[check->aap_count] = (struct check_aap){.name = strdup(name)};
    return grown[check->aap_count].name ? &grown[check->aap_count++] : NULL;
}

static struct check_aap *find_aap(struct check *check, const char *name)
{
    for (size_t i = 0; i < check->aap_count; i++)
        if (strcmp(check->aaps[i].name, name) == 0)
            return &check->aaps[i];
    return NULL;
}

/* AAP: NULL, one that is not shown. What one answer leaves out another one may have told. */
static void take_method(struct kms_check *kms, struct check_aap *aap, bool may_have_client_keys)
{
    if (aap)
        aap->ram_role = aap->ram_role || !may_have_client_keys;
    if (aap && !aap->ram_role && !kms->keyed)
        kms->keyed = aap->name;
}

static void take_name(void *user, const struct kms_aap *aap)
{
    struct kms_check *kms = user;
    struct check *check = kms->check;
    bool may_have_client_keys = kms_aap_may_have_client_keys(aap->authentication_method);
    bool shown = config_aap_name_is_shown(aap->name);
    kms->hidden += !shown;
    kms->ram_roles += !may_have_client_keys;
    if (shown)
        take_method(kms, check->config->all_aaps ? add_aap(check, aap->name) : find_aap(check, aap->name), may_have_client_keys);
}

/* KMS forbids this one thing: other questions may be answered. */
static bool is_forbidden(const struct kms_error *error)
{
    return kms_error_is_forbidden(error->code, error->http_status);
}

static void tell_failure(struct check *check, const char *operation, const struct kms_error *error, const char *advice)
{
    check_error(check, operation, "%s: %s%s%s; %s", error->code, error->message,
                error->request_id[0] ? ", RequestId " : "", error->request_id, advice);
}

static const char *advice_for(const struct kms_error *error)
{
    if (kms_error_is_about_the_clock(error))
        return "KMS takes no request that is signed 15 minutes before or after its time: set the machine's clock (NTP)";
    if (kms_error_is_about_the_endpoint(error))
        return "see that the endpoint is KMS's, and proxy";
    switch (error->number) {
    case EACCES:
        return kms_error_is_of_kms(error) && !kms_error_is_about_credentials(error)
                   ? "KMS refuses this to this account or user: see what it says, and their permissions (RAM)"
                   : "see that the access key is enabled, its secret right, and the machine's clock";
    case EAGAIN:
        return "KMS is throttling or not available; try again later";
    case EPROTO:
        return "see ca_file and proxy";
    default:
        return kms_error_is_of_kms(error) ? "see what KMS says, and its documents of that code; Alibaba Cloud's support finds the "
                                            "request by its RequestId"
                                          : "see the network, proxy, and try again";
    }
}

/* -- one permission after the other -------------------------------------------------------- */

/* Whether it is of use to ask more. */
static bool look_at_aaps(struct kms_check *kms)
{
    static const char operation[] = "ListApplicationAccessPoints";
    struct check *check = kms->check;
    const struct kms_error *error = &kms->asking.error;
    bool named = !check->config->all_aaps;
    for (size_t i = 0; named && i < check->config->aap_name_count; i++)
        add_aap(check, check->config->aap_names[i]);
    if (ask_aaps(&kms->asking, take_name, kms)) {
        check_ok(check, operation, "permitted; %zu AAPs%s%s", kms->asking.count,
                 kms->hidden ? ", some with names that cannot be shown" : "",
                 kms->ram_roles ? ", some of them used with RAM roles: those have no client keys" : "");
        check->aaps_listed = !named;
        if (!named && kms->ram_roles && !kms->keyed)
            check_warning(check, "AAPs", "each one in %s is used with a RAM role and has no client keys; make one in KMS whose "
                          "AuthenticationMethod is ClientKey", check->config->region);
        else if (!named && check->aap_count == 0)
            check_warning(check, "AAPs", "there is none to show in %s; make one in KMS, or see region", check->config->region);
        return true;
    }
    if (is_forbidden(error) && named)
        check_ok(check, operation, "not permitted, and not needed: the configuration names the AAPs");
    else if (is_forbidden(error))
        tell_failure(check, operation, error, "permit it, or name the AAPs in the configuration: aaps = NAME, NAME");
    else
        tell_failure(check, operation, error, advice_for(error));
    return is_forbidden(error);
}

static bool look_at_aap(struct kms_check *kms, struct check_aap *aap)
{
    const char *name = aap->name;
    static const char operation[] = "DescribeApplicationAccessPoint";
    struct check *check = kms->check;
    const struct kms_error *error = &kms->asking.error;
    if (ask_aap(&kms->asking, name)) {
        if (!kms->arn[0])
            check_ok(check, operation, "permitted");
        if (!kms->asking.may_have_client_keys && !check->aaps_listed)
            check_warning(check, operation, "%s is used with a RAM role and has no client keys: it will be shown, and no key made", name);
        take_method(kms, aap, kms->asking.may_have_client_keys);
        memcpy(kms->arn, kms->asking.text, sizeof(kms->arn));
        return true;
    }
    if (kms_error_is_gone(error))
        check_error(check, operation, "%s: KMS has no such AAP (%s); correct aaps, or make it in KMS", name, error->code);
    else if (is_forbidden(error) && check->account[0])
        check_warning(check, operation, "not permitted (%s): the credentials are taken to be of the account %s, which the "
                      "state directory names; permit it, to be sure", error->code, check->account);
    else if (is_forbidden(error))
        tell_failure(check, operation, error, "permit it: an AAP's Arn tells the account, before which no key is made");
    else
        tell_failure(check, operation, error, advice_for(error));
    return kms_error_is_gone(error);
}

/* Of listed ones KMS says that they are there: one is enough. */
static void look_at_each_aap(struct kms_check *kms)
{
    const struct check *check = kms->check;
    size_t most = check->aaps_listed ? 1 : DESCRIBED_MOST;
    for (size_t i = 0; i < check->aap_count && i < most; i++)
        if (!look_at_aap(kms, &check->aaps[i]))
            return;
}

/* KMS is not asked for keys of an AAP that has none. */
static bool have_any_keys(const struct check *check)
{
    size_t i = 0;
    while (i < check->aap_count && check->aaps[i].ram_role)
        i++;
    return i < check->aap_count;
}

static void look_at_client_keys(struct kms_check *kms)
{
    char id[ASK_TEXT_SIZE] = "";
    struct check *check = kms->check;
    const struct kms_error *error = &kms->asking.error;
    const char *aap = kms->keyed ? kms->keyed : check->aaps[0].name;
    if (ask_client_keys(&kms->asking, aap, NULL, NULL)) {
        check_ok(check, "ListClientKeys", "permitted; %s has %zu", aap, kms->asking.count);
        memcpy(id, kms->asking.text, sizeof(id));
        kms->keys_listed = true;
    } else if (is_forbidden(error)) {
        check_warning(check, "ListClientKeys", "not permitted (%s): keys made elsewhere are not seen, and what came of a "
                      "creation whose answer was lost is not found out; permit it", error->code);
    } else {
        tell_failure(check, "ListClientKeys", error, advice_for(error));
    }
    if (ask_client_key(&kms->asking, id[0] ? id : no_key) || error->number == ENOENT)
        check_ok(check, "GetClientKey", "permitted%s", id[0] ? "" : ", as far as one can tell without a key");
    else if (is_forbidden(error))
        check_warning(check, "GetClientKey", "not permitted (%s): whether KMS still has a key is not found out, and none "
                      "is adopted; permit it", error->code);
    else
        tell_failure(check, "GetClientKey", error, advice_for(error));
}

/* -- what the answers say ------------------------------------------------------------------ */

static void look_at_account(struct kms_check *kms)
{
    struct check *check = kms->check;
    char account[ACCOUNT_SIZE], region[ARN_REGION_SIZE];
    if (!kms->arn[0])
        return;
    if (arn_account(kms->arn, account) < 0 || arn_region(kms->arn, region) < 0)
        check_error(check, "account", "KMS's answer: the AAP's Arn names none; see that the endpoint is KMS's");
    else if (strcmp(region, check->config->region) != 0)
        check_error(check, "region", "the endpoint is the region %s's, the configuration names %s; give the region that "
                    "the endpoint has, or the right endpoint", region, check->config->region);
    else if (check->account[0] && strcmp(account, check->account) != 0)
        check_error(check, "account", "the credentials are of the account %s, the keys in the state directory of %s; give "
                    "this mount a state of its own, or the right credentials", account, check->account);
    else
        check_ok(check, "account", "%s in %s", account, region);
}

static void look_at_clock(struct kms_check *kms)
{
    const struct kms_clock *clock = &kms->asking.clock;
    double seconds = (double)clock->offset_ms / 1000;
    if (!clock->observed)
        check_warning(kms->check, "clock", "no answer told KMS's time; see the lines above");
    else if (clock->offset_ms > CLOCK_WARNING_MS || clock->offset_ms < -CLOCK_WARNING_MS)
        check_warning(kms->check, "clock", "KMS's is %+.0f s from this machine's, and 15 minutes are too much for "
                      "signatures; set the machine's clock (NTP)", seconds);
    else
        check_ok(kms->check, "clock", "KMS's is %+.1f s from this machine's", seconds);
}

static void look_at_kms(struct kms_check *kms)
{
    bool more = look_at_aaps(kms);
    if (more)
        look_at_each_aap(kms);
    if (more && have_any_keys(kms->check))
        look_at_client_keys(kms);
    if (kms->keys_listed)
        check_places(kms->check, &kms->asking);
    look_at_account(kms);
    look_at_clock(kms);
    check_ok(kms->check, "CreateClientKey, DeleteClientKey", "not tried: that would make or delete a key");
}

static void wake_up(void *user)
{
    transport_wake_up(user);
}

void check_kms(struct check *check)
{
    struct credentials_source *source = check->source;
    const struct config *config = check->config;
    char reason[256];
    struct kms_check kms = {.check = check, .asking = {.timeout_ms = config->request_timeout_ms}};
    const struct transport_options options = {
        .endpoint = config->endpoint,
        .ca_file = config->ca_file[0] ? config->ca_file : NULL,
        .proxy = config->proxy,
        .user_agent = "aapfs/" AAPFS_VERSION,
        .get_credentials = credentials_source_get,
        .credentials_refused = credentials_source_refused,
        .get_credentials_user = source,
    };
    if (transport_new(&options, &kms.asking.transport, reason, sizeof(reason)) < 0) {
        check_error(check, "endpoint", "%s", reason);
        return;
    }
    credentials_source_on_change(source, wake_up, kms.asking.transport);
    look_at_kms(&kms);
    credentials_source_on_change(source, NULL, NULL);
    transport_free(kms.asking.transport);
}
