#include "fs/model/aap_state.h"

static const int64_t expiring_seconds = INT64_C(30) * 86400;

int64_t aap_state_end(const struct registry_aap *aap)
{
    enum rotation_state state = aap->rotation.state;
    bool unattended = aap->current && state != ROTATION_PLANNED && state != ROTATION_DUE;
    int64_t end = unattended ? aap->current->not_after_time : 0;
    return aap->in_use_until && (!end || aap->in_use_until < end) ? aap->in_use_until : end;
}

enum aap_state aap_state_of(const struct registry_aap *aap, int64_t now)
{
    const struct registry_key *current = aap->current;
    if (!current)
        return aap->rotation.state >= ROTATION_FAILING ? AAP_FAILING : AAP_NONE;
    if (aap->gone || (current->gone && !current->gone_expired))
        return AAP_DELETED;
    if (now >= current->not_after_time)
        return AAP_EXPIRED;
    if (now < current->not_before_time - AAP_STATE_CLOCK_SECONDS)
        return AAP_SCHEDULED;
    if (aap->rotation.state >= ROTATION_DUE)
        return aap->rotation.state == ROTATION_DUE ? AAP_DUE : AAP_FAILING;
    int64_t end = aap_state_end(aap);
    return end && end - now < expiring_seconds ? AAP_EXPIRING : AAP_ACTIVE;
}

const char *aap_state_text(enum aap_state state)
{
    static const char *const texts[AAP_STATE_COUNT] = {
        [AAP_NONE] = "none",         [AAP_SCHEDULED] = "scheduled", [AAP_ACTIVE] = "active",
        [AAP_EXPIRING] = "expiring", [AAP_DUE] = "due",             [AAP_FAILING] = "failing",
        [AAP_DELETED] = "deleted",   [AAP_EXPIRED] = "expired",
    };
    return texts[state];
}
