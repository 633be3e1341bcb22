#include "fs/upkeep/first_keys.h"

#include "fs/engine/engine.h"
#include "fs/sync/account.h"
#include "fs/sync/client_keys.h"
#include "fs/sync/doubts.h"

/* A record that cannot be read may be that of its key. */
bool first_keys_are_wanted(const struct engine *engine, const struct registry_aap *aap)
{
    return aap->config->first_key != FIRST_KEY_BY_HAND && !aap->keys && !aap->gone && !aap->ram_role && !engine->foreign_state &&
           registry_mount(engine->parts.registry)->damaged == 0;
}

/* Of what is listed, not while its foreign keys are being shown: they fill places. */
const char *first_keys_wait_for(const struct engine *engine, uint32_t aap)
{
    const struct listing_notes *listing = &engine_noted(engine, aap)->listing;
    if (!account_is_known(engine))
        return "KMS does not tell whose account this is: permit kms:DescribeApplicationAccessPoint";
    if (!listing->listed_mono_ms || listing->refused_mono_ms || listing->unanswered || client_keys_is_of(engine, aap))
        return "KMS has not listed this AAP's keys, see kms:ListClientKeys in aapfs(7)";
    if (!doubts_are_settled(engine, aap))
        return "what came of an earlier creation is not known; see Candidates in status";
    return NULL;
}
