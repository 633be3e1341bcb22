#include "fs/loop/inherit.h"

#include <errno.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"

/* Its key is safe: its writer hears of it when every name shows it, however long that takes. */
static void wait_for_names(struct operation *operation, uint32_t key, uint32_t generation)
{
    operation->command.verb = CONTROL_INHERITED;
    operation->key = key;
    operation->generation = generation;
    operation_wait_until(operation, INT64_MAX);
}

void inherit_write(struct engine *engine, const struct engine_write *write)
{
    struct operation *operation = operation_new(engine, write);
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = write->intent ? registry_aap(engine->parts.registry, write->aap) : NULL;
    const struct registry_key *key = aap ? registry_key_of_intent(aap, write->intent) : NULL;
    bool is_rejected = aap && registry_rejected_intent(aap, write->intent);
    uint32_t number = key ? key->number : 0, generation = key && key == aap->current ? aap->generation : 0;
    registry_unlock(engine->parts.registry);
    if (!operation) {
        engine->parts.answer(engine->parts.answer_user, write->number, number ? 0 : -EIO);
        return;
    }
    operation->command.verb = write->intent ? CONTROL_CREATE : CONTROL_NOT_PARSED;
    if (number)
        wait_for_names(operation, number, generation);
    else if (is_rejected)
        operation_refuse(operation, EKEYREJECTED, "KeyRejected",
                         "KMS's answer is not a usable key; it is kept, see Rejected in status");
    else if (write->intent)
        operation_refuse(operation, EIO, "Interrupted",
                         "aapfs was interrupted while KMS made the key; one may exist, see Orphans in status");
    else
        operation_refuse(operation, EIO, "Interrupted",
                         "aapfs was interrupted before the command was done; no key was asked for: write again");
}

void inherit_begin(struct operation *operation)
{
    operation_end(operation, 0);
}
