#include "fs/commands/check/check_ask.h"

#include <errno.h>
#include <stdio.h>

static void take(struct asking *asking, const struct kms_answer *answer)
{
    const struct transport_answer *transport = answer->transport;
    asking->answered = true;
    asking->error = answer->error;
    clock_observe(&asking->clock, transport->server_date, transport->sent_at_ms, transport->received_at_ms,
                  clock_boottime_ms());
}

static void take_aaps(void *user, const struct kms_answer *answer, const struct kms_aap *aaps, size_t count)
{
    struct asking *asking = user;
    take(asking, answer);
    if (answer->error.number)
        return;
    asking->count = count;
    for (size_t i = 0; i < count; i++)
        asking->aap(asking->user, &aaps[i]);
}

static void take_aap(void *user, const struct kms_answer *answer, const struct kms_aap *aap)
{
    struct asking *asking = user;
    take(asking, answer);
    if (answer->error.number)
        return;
    snprintf(asking->text, sizeof(asking->text), "%s", aap->arn);
    asking->may_have_client_keys = kms_aap_may_have_client_keys(aap->authentication_method);
}

static void take_client_keys(void *user, const struct kms_answer *answer, const struct kms_client_key *keys,
                             size_t count)
{
    struct asking *asking = user;
    take(asking, answer);
    if (answer->error.number)
        return;
    asking->count = count;
    for (size_t i = 0; asking->id && i < count; i++)
        asking->id(asking->user, keys[i].client_key_id);
    if (count > 0)
        snprintf(asking->text, sizeof(asking->text), "%s", keys[0].client_key_id);
}

static void take_client_key(void *user, const struct kms_answer *answer, const struct kms_client_key *key)
{
    (void)key;
    take(user, answer);
}

static void begin(struct asking *asking)
{
    asking->answered = false;
    asking->error = (struct kms_error){0};
    asking->count = 0;
    asking->text[0] = '\0';
}

/* STARTED: 0 or negative errno. The transport ends every request at its time. */
static bool wait_for(struct asking *asking, int started)
{
    if (started < 0)
        asking->error = (struct kms_error){.number = ENOMEM, .code = "Memory", .message = "memory is short"};
    while (started == 0 && !asking->answered)
        transport_run(asking->transport, -1);
    return asking->error.number == 0;
}

bool ask_aaps(struct asking *asking, void (*aap)(void *user, const struct kms_aap *aap), void *user)
{
    begin(asking);
    asking->aap = aap;
    asking->user = user;
    return wait_for(asking, kms_list_application_access_points(asking->transport, asking->timeout_ms, take_aaps, asking));
}

bool ask_aap(struct asking *asking, const char *aap_name)
{
    begin(asking);
    return wait_for(asking, kms_describe_application_access_point(asking->transport, aap_name, asking->timeout_ms,
                                                                  take_aap, asking));
}

bool ask_client_keys(struct asking *asking, const char *aap_name, void (*id)(void *user, const char *client_key_id), void *user)
{
    begin(asking);
    asking->id = id;
    asking->user = user;
    return wait_for(asking, kms_list_client_keys(asking->transport, aap_name, asking->timeout_ms, take_client_keys,
                                                 asking));
}

bool ask_client_key(struct asking *asking, const char *client_key_id)
{
    begin(asking);
    return wait_for(asking, kms_get_client_key(asking->transport, client_key_id, asking->timeout_ms, take_client_key,
                                               asking));
}
