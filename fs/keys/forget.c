#include "fs/keys/forget.h"

#include <errno.h>
#include <string.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/unsaved.h"
#include "fs/sync/account.h"
#include "fs/sync/doubts.h"
#include "fs/sync/leave.h"

/* Its number, if nothing of it is under way; else the operation has ended. */
static uint32_t find(struct operation *operation)
{
    struct engine *engine = operation->engine;
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_find_aap(engine->parts.registry, operation->command.aap_name);
    uint32_t number = aap ? aap->number : 0;
    bool leaves = number && registry_aap_leaves(engine->parts.registry, number);
    registry_unlock(engine->parts.registry);

    if (!number || leaves) {
        operation_refuse(operation, ENOENT, "UnknownAap", "no application access point of that name is known here");
        return 0;
    }
    if (!engine_aap(engine, number) || !leave_is_free(engine, number)) {
        operation_refuse(operation, EBUSY, "Busy",
                         "a command or on_rotate of that AAP is still under way, or the deletion of a superseded key; wait "
                         "until it has ended");
        return 0;
    }
    return number;
}

/* Its directory is gone: nobody reads its keys any more. */
static void left(void *user, int result)
{
    struct operation *operation = user;
    struct engine *engine = operation->engine;
    (void)result; /* readers see that it has gone all the same */
    doubts_forget_aap(engine, operation->leaving);
    int r = store_remove_aap(engine->store, operation->command.aap_name);
    if (r < 0)
        operation_refuse(operation, -r, "State",
                         "the AAP is shown no more, but its records cannot be removed: %s; the next start shows it "
                         "again", strerror(-r));
    else
        operation_succeed(operation);
}

/* Another account's KMS would say that it does not know the AAP. TOLD: KMS has said whose the credentials are. */
static bool is_ours(struct operation *operation, bool told)
{
    if (account_is_other(operation->engine))
        operation_fail(operation, account_error(operation->engine));
    else if (!told)
        operation_refuse(operation, EAGAIN, "AccountUnknown",
                         "KMS has not told yet whose account the credentials are; write sync, then forget again");
    return told && !account_is_other(operation->engine);
}

static void described(void *user, const struct kms_answer *answer, const struct kms_aap *aap)
{
    struct operation *operation = user;
    struct engine *engine = operation->engine;
    engine_observe(engine, answer);
    if (answer->error.number == 0) {
        operation_refuse(operation, EBUSY, "KmsHasIt",
                         "KMS still has this application access point; delete it there first");
        return;
    }
    if (!kms_error_is_gone(&answer->error)) {
        operation_fail(operation, &answer->error);
        return;
    }
    if (!is_ours(operation, account_is_known(engine)))
        return;
    operation->leaving = find(operation); /* a command may have begun meanwhile */
    if (!operation->leaving)
        return;
    unsaved_drop_all(engine, operation->leaving);
    leave_begin(engine, operation->leaving, left, operation);
}

void forget_begin(struct operation *operation)
{
    struct engine *engine = operation->engine;
    if (find(operation) && is_ours(operation, account_may_send(engine)) &&
        kms_describe_application_access_point(engine->parts.transport, operation->command.aap_name,
                                              operation_time_left(operation), described, operation) < 0)
        operation_refuse(operation, ENOMEM, "Memory", "memory is short");
}
