#include "fs/keys/creator.h"

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/fleet/intents.h"
#include "fs/fleet/lock.h"
#include "fs/sync/doubts.h"

/* As often request_timeout, at the most. */
enum { PARK_TIMES = 4, PARK_MS_MOST = 60 * 1000 };

unsigned int creator_park_ms(const struct engine *engine)
{
    unsigned int timeout_ms = engine->parts.config->request_timeout_ms;
    return timeout_ms > PARK_MS_MOST / PARK_TIMES ? PARK_MS_MOST : timeout_ms * PARK_TIMES;
}

/*
 * Whoever had the lock before sent nothing later than request_timeout before it ended, so what he has asked for comes within
 * the rest of the time for which its answer is waited for, or never.
 */
static void seen(struct operation *operation, const struct fleet_seen *seen)
{
    struct engine *engine = operation->engine;
    const char *host;
    if (seen->is_behind)
        lock_yield(operation, "FleetIsAhead", "another host of the fleet has made a client key, which is on its way here; look at "
                   "status, and write again if another one is wanted");
    else if ((host = doubts_share(engine, operation->aap, seen->intents, creator_park_ms(engine))))
        lock_yield(operation, "FleetUnsettled", "the host %s has asked for a client key of this AAP, and what came of it is not "
                   "known yet; KMS's list of keys tells: write again in a while", host);
    else
        operation->then(operation);
}

/* With the lock of an earlier creation, whose key the others do not know yet. */
static void locked(struct operation *operation)
{
    if (intents_is_owed(operation))
        lock_yield(operation, "FleetIsBehind", "the fleet could not be told yet of the last client key that was made here; look at "
                   "status, and write again when it was");
    else
        intents_read(operation, seen);
}

void creator_require(struct operation *operation, void (*then)(struct operation *operation))
{
    if (!operation->engine->fleet) {
        then(operation);
        return;
    }
    operation->then = then;
    lock_take(operation, locked);
}
