#include "fs/keys/admit.h"

#include <errno.h>

#include "fs/applications/follow.h"
#include "fs/applications/hook.h"
#include "fs/base/stops.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/judge.h"
#include "fs/model/schedule.h"

/* With the registry's lock. */
static int add(struct operation *operation, struct registry_aap *aap, struct registry_key *key, const struct record *record)
{
    struct engine *engine = operation->engine;
    bool again = operation->command.verb == CONTROL_RETRY_CHECK;
    bool any_age = again || operation->command.verb == CONTROL_SHARED_KEY;
    bool becomes_current = any_age ? key == schedule_current(aap, engine_now(engine)) : !record->scheduled;
    operation->key = again ? 0 : key->number; /* that shows several, each by itself */
    registry_remove_id(&aap->rejected, record->client_key_id);
    registry_remove_id(&aap->orphans, record->client_key_id);
    registry_remove_id(&aap->candidates, record->client_key_id);
    if (becomes_current)
        operation->generation = registry_make_current(engine->parts.registry, aap, key, record->made_ns);
    if (operation->automatic && schedule_is_useless(aap, key))
        operation->creation.of_no_use = true;
    return becomes_current && !operation->generation ? -ENOSPC : 0;
}

int admit_key(struct operation *operation, const struct record *record, struct client_key *forms)
{
    struct engine *engine = operation->engine;
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    struct registry_key *key = judge_admit(engine->parts.registry, aap, record, forms);
    int r = key ? add(operation, aap, key, record) : -ENOMEM;
    registry_unlock(engine->parts.registry);
    stop_here("engine-registered");
    if (r == 0 && !operation->creation.save_error) /* only this thread removes keys */
        judge_keep_forms(engine->store, record->aap_name, key);
    return r;
}

static void shown(void *user, int result)
{
    struct operation *operation = user;
    if (result < 0) {
        operation_refuse(operation, -result, "Publication", "the key %s in keys/, but the mount's publisher does not answer",
                         operation->command.verb == CONTROL_ADOPT ? "is saved and" : "was made and is");
        return;
    }
    operation->then(operation);
    hook_tend(operation->engine, operation->aap);
    follow_expect(operation->engine, operation->aap);
}

/* keys/<id> is there: now the names may lead to it. */
static void key_shown(void *user, int result)
{
    struct operation *operation = user;
    if (result < 0 || !operation->generation) /* a Scheduled one: its directory is all there is to see */
        shown(user, result);
    else
        engine_publish(operation->engine, PUBLISH_GENERATION, operation->generation, shown, operation);
}

void admit_show_key(struct operation *operation, void (*then)(struct operation *operation))
{
    operation->then = then;
    engine_publish(operation->engine, PUBLISH_KEY, operation->key, key_shown, operation);
}

void admit_show_names(struct operation *operation, void (*then)(struct operation *operation))
{
    operation->then = then;
    key_shown(operation, 0);
}
