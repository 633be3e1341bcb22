#include "fs/loop/inherit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/engine/done.h"
#include "fs/engine/engine.h"
#include "fs/engine/parts.h"

/* A write whose key is safe: its writer hears of it when every name shows it. */
struct inherited {
    uint64_t number;
    uint32_t aap;
    struct inherited *next;
};

static void refuse(struct engine *engine, const struct engine_write *write, int number,
                   const char *code, const char *message)
{
    struct registry *registry = engine->parts.registry;
    const struct kms_error error = kms_error_make("", number, code, "%s", message);
    registry_lock(registry);
    struct registry_aap *aap = registry_aap(registry, write->aap);
    failure_set(aap ? &aap->failure : &registry_mount(registry)->failure, write->intent ? FAILURE_CREATION : FAILURE_CONTROL,
                &error, engine_now(engine));
    registry_unlock(registry);
    engine->parts.answer(engine->parts.answer_user, write->number, -number);
}

static void wait_for_publication(struct engine *engine, const struct engine_write *write)
{
    struct inherited *inherited = calloc(1, sizeof(*inherited));
    if (!inherited) { /* the key is there: only that its names are is not waited for */
        engine->parts.answer(engine->parts.answer_user, write->number, 0);
        return;
    }
    *inherited = (struct inherited){write->number, write->aap, engine->inherited};
    engine->inherited = inherited;
    if (engine_is_caught_up(engine, write->aap))
        inherit_caught_up(engine, write->aap);
}

void inherit_write(struct engine *engine, const struct engine_write *write)
{
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = write->intent ? registry_aap(engine->parts.registry, write->aap) : NULL;
    bool has_key = aap && registry_key_of_intent(aap, write->intent);
    bool is_rejected = aap && registry_rejected_intent(aap, write->intent);
    registry_unlock(engine->parts.registry);
    if (has_key) {
        done_tell_inherited(engine, write);
        wait_for_publication(engine, write);
    } else if (is_rejected)
        refuse(engine, write, EKEYREJECTED, "KeyRejected",
               "KMS's answer is not a usable key; it is kept, see Rejected in status");
    else if (write->intent)
        refuse(engine, write, EIO, "Interrupted",
               "aapfs was interrupted while KMS made the key; one may exist, see Orphans in status");
    else
        refuse(engine, write, EIO, "Interrupted",
               "aapfs was interrupted before the command was done; no key was asked for: write again");
}

void inherit_caught_up(struct engine *engine, uint32_t aap)
{
    struct inherited **link = &engine->inherited;
    while (*link) {
        struct inherited *inherited = *link;
        if (inherited->aap != aap) {
            link = &inherited->next;
            continue;
        }
        *link = inherited->next;
        engine->parts.answer(engine->parts.answer_user, inherited->number, 0);
        free(inherited);
    }
}

void inherit_end(struct engine *engine)
{
    while (engine->inherited) {
        struct inherited *inherited = engine->inherited;
        engine->inherited = inherited->next;
        engine->parts.answer(engine->parts.answer_user, inherited->number, -EIO);
        free(inherited);
    }
}
