#include "fs/sync/listing_failure.h"

#include <stdbool.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/model/schedule.h"
#include "fs/sync/doubts.h"
#include "kmsapi/base/backoff.h"

enum { FIRST_WAIT_MS = 5000, LAST_WAIT_MS = 600 * 1000 };

void listing_failure_note(struct engine *engine, uint32_t number, const struct kms_error *error)
{
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    struct registry_failure *failure = aap ? &aap->failure : NULL;
    if (failure)
        failure_clear(failure, FAILURE_LISTING);
    if (failure && failure->error.number == 0 && error->number) {
        struct kms_error noted = *error;
        noted.operation[0] = '\0'; /* also where it was a request after the listing that failed */
        failure_set(failure, FAILURE_LISTING, &noted, engine_now(engine));
    }
    registry_unlock(engine->parts.registry);
}

void listing_failure_forbidden(struct engine *engine, uint32_t number, int64_t asked_ms, const struct kms_error *error)
{
    engine_aap(engine, number)->listing.refused_mono_ms = asked_ms;
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    bool unsettled = doubts_have_intent(engine, number), tell = unsettled && !aap->cannot_settle;
    aap->cannot_settle = unsettled;
    registry_unlock(engine->parts.registry);
    if (tell) /* only this thread removes AAPs */
        log_warning("%s: whether KMS made a client key of a creation whose answer was lost cannot be found out, since "
                    "ListClientKeys is not permitted (%s): permit it, or look in KMS's console", aap->name, error->code);
}

int64_t listing_failure_wait_ms(struct engine *engine, uint32_t number, unsigned int failures)
{
    int64_t wait_ms = backoff_ms(FIRST_WAIT_MS, LAST_WAIT_MS, failures), most_ms = wait_ms;
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    if (aap && aap->current && aap->rotation.state >= ROTATION_DUE)
        most_ms = schedule_retry_most_ms(aap->current->not_after_time - engine_now(engine));
    registry_unlock(engine->parts.registry);
    return wait_ms < most_ms ? wait_ms : most_ms;
}
