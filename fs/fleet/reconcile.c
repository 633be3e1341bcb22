#include "fs/fleet/reconcile.h"

#include "fs/engine/engine.h"
#include "fs/fleet/fetch.h"
#include "fs/fleet/fleet_aap.h"
#include "fs/fleet/push.h"
#include "fs/model/order.h"

void reconcile(struct fleet *fleet, struct fleet_aap *aap)
{
    int64_t now_ms = clock_monotonic_ms();
    if (fleet->stage != FLEET_IS_LISTED || aap->under_way || !engine_has_aap(fleet->engine, aap->due.number))
        return;
    if (aap->again_ms > now_ms)
        fleet_aap_due(fleet, aap, aap->again_ms);
    else if (!aap->listed)
        fetch_list(fleet, aap);
    else if (!aap->current_known)
        fetch_current(fleet, aap);
    else if (!push_begin(fleet, aap)) {
        push_told(aap, aap->again_ms <= now_ms);
        fetch_begin(fleet, aap);
    }
}

bool reconcile_is_behind(struct engine *engine, uint32_t number, const char *client_key_id, int64_t made_ns)
{
    const struct fleet_aap *aap = fleet_aap_find(engine->fleet, number);
    const struct fleet_key *key = aap ? fleet_aap_find_key(aap, client_key_id) : NULL;
    registry_lock(engine->parts.registry);
    const struct registry_aap *here = registry_aap(engine->parts.registry, number);
    const struct registry_key *current = here ? here->current : NULL;
    /* one of which nothing was told yet is on its way; one without a record, or whose record is of no use, never comes */
    bool comes = here && (key ? fetch_is_wanted(here, key) : !registry_has_private(here, client_key_id));
    bool greater = !current || order_is_greater(made_ns, client_key_id, order_made_ns(current), current->client_key_id);
    registry_unlock(engine->parts.registry);
    return comes && greater;
}
