#include "fs/sync/gone.h"

#include "fs/applications/notified.h"
#include "fs/base/log.h"
#include "fs/engine/engine.h"

void gone_note_aap(struct engine *engine, uint32_t number, bool gone)
{
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    bool changed = gone != aap->gone, tell = gone && changed && aap->keys;
    aap->gone = gone;
    registry_unlock(engine->parts.registry);
    if (changed)
        notified_changed(engine, number);
    if (tell) /* only this thread removes AAPs */
        log_warning("%s: KMS no longer has this application access point; its keys stay readable here; make it again, "
                    "or write forget %s to .aapfs/control", aap->name, aap->name);
}

void gone_note_key(struct engine *engine, uint32_t number, const char *client_key_id)
{
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    struct registry_key *key = registry_find_key(aap, client_key_id);
    bool expired = key && key->not_after_time <= engine_now(engine);
    bool tell = key && key == aap->current && !key->gone && !expired;
    if (key && !key->gone) {
        key->gone = true;
        key->gone_expired = expired;
    }
    registry_unlock(engine->parts.registry);
    notified_changed(engine, number);
    if (tell)
        log_error("%s: KMS no longer has the current client key %s; it stays readable here; make a new one", aap->name,
                  client_key_id);
}
