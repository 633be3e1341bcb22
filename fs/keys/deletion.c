#include "fs/keys/deletion.h"

#include <errno.h>
#include <string.h>

#include "fs/applications/notified.h"
#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/fleet/lock.h"
#include "fs/fleet/push.h"
#include "fs/fleet/served.h"
#include "fs/keys/unsaved.h"
#include "fs/sync/account.h"
#include "fs/sync/doubts.h"

/* Its record goes, and so does its id from the lists; what a reader sees of it is gone already. */
static void forget(struct operation *operation)
{
    struct engine *engine = operation->engine;
    const char *client_key_id = operation->command.client_key_id;
    char aap_name[AAP_NAME_SIZE];
    operation_aap_name(operation, aap_name);
    int r = 0;
    if (!unsaved_drop(engine, client_key_id))
        r = store_remove(engine->store, aap_name, client_key_id);
    doubts_forget(engine, operation->aap, client_key_id);

    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    struct registry_key *key = registry_key(engine->parts.registry, operation->key);
    if (aap && key)
        registry_remove_key(engine->parts.registry, aap, key);
    if (aap) {
        registry_remove_id(&aap->rejected, client_key_id);
        registry_remove_id(&aap->orphans, client_key_id);
        registry_remove_id(&aap->candidates, client_key_id);
    }
    registry_unlock(engine->parts.registry);
    if (r < 0 && r != -ENOENT)
        operation_refuse(operation, -r, "State",
                         "the key is deleted in KMS and shown no more, but its record cannot be removed: %s; "
                         "the next start shows it again", strerror(-r));
    else if (operation->command.verb == CONTROL_SHARED_KEY)
        operation_end(operation, 0); /* a last_error is of what somebody asked for */
    else
        operation_succeed(operation);
}

static void hidden(void *user, int result)
{
    forget(user);
}

void deletion_hide(struct operation *operation)
{
    engine_publish(operation->engine, PUBLISH_REMOVE_KEY, operation->key, hidden, operation);
}

static void deleted(void *user, const struct kms_answer *answer)
{
    struct operation *operation = user;
    struct engine *engine = operation->engine;
    struct registry *registry = engine->parts.registry;

    engine_observe(engine, answer);
    /* what KMS does not know is gone already */
    if (answer->error.number != 0 && !kms_error_is_gone(&answer->error)) {
        operation_fail(operation, &answer->error);
        return;
    }
    registry_lock(registry);
    struct registry_key *key = registry_key(registry, operation->key);
    const struct registry_aap *aap = registry_aap(registry, operation->aap);
    bool is_current = key && aap && key == aap->current;
    bool is_kept = key && aap && key == registry_find_key(aap, operation->command.client_key_id);
    if (is_current)
        key->gone = key->gone_expired = true;
    else if (key)
        key->deleted = true;
    registry_unlock(registry);
    if (is_current) {
        notified_changed(engine, operation->aap);
        operation_succeed(operation);
        return;
    }
    if (!key) {
        forget(operation);
        return;
    }
    if (is_kept) /* else it is not in a fleet either */
        push_deletion(engine, operation->aap, operation->command.client_key_id);
    deletion_hide(operation);
}

static void send_request(struct operation *operation)
{
    struct engine *engine = operation->engine;
    if (kms_delete_client_key(engine->parts.transport, operation->command.client_key_id,
                              operation_time_left(operation), deleted, operation) < 0)
        operation_refuse(operation, ENOMEM, "Memory", "memory is short");
}

/* -- in a fleet ---------------------------------------------------------------------------- */

/* The lock that nobody else makes a key of this AAP now stays until the end. */
static void locked(struct operation *operation)
{
    if (lock_holds(operation, operation_time_left(operation)))
        send_request(operation);
    else
        operation_refuse(operation, ETIMEDOUT, "Fleet", "the lock of this AAP in the fleet does not hold for long enough, its etcd "
                         "did not renew it in time; nothing was sent to KMS");
}

/* Whether a creation waits for it, which is to say why it found no place. */
static bool makes_place(const struct operation *operation)
{
    const struct operation *running = engine_noted(operation->engine, operation->aap)->running;
    return running && running->stage == OPERATION_WAITS_FOR_DELETION &&
           strcmp(running->place.freed_id, operation->command.client_key_id) == 0;
}

/* HOST: one whose readers may still see the key, or, where nobody has asked for its end, whose applications may use it. */
static void reported(struct operation *operation, const char *host)
{
    char aap_name[AAP_NAME_SIZE];
    operation_aap_name(operation, aap_name);
    if (host && !operation->automatic)
        log_warning("%s: %s is deleted, as was asked for, though the host %s of the fleet has not reported yet that its readers "
                    "see a newer one", aap_name, operation->command.client_key_id, host);
    if (!host || !operation->automatic)
        lock_take(operation, locked);
    else if (makes_place(operation))
        operation_refuse(operation, EBUSY, "FleetIsBehind", "%s has not reported a newer one", host);
    else
        lock_yield(operation, "FleetIsBehind", "%s has not reported a newer one", host);
}

/* Only a key whose private half is here is in the fleet. One that has expired is of no use to any host. */
static void find_users(struct operation *operation)
{
    struct engine *engine = operation->engine;
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    const struct registry_key *key = aap ? registry_find_key(aap, operation->command.client_key_id) : NULL;
    bool is_shared = engine->fleet && key;
    bool may_be_used = is_shared && key != aap->current && key->not_after_time > engine_now(engine);
    registry_unlock(engine->parts.registry);
    if (may_be_used)
        served_require(operation, reported);
    else if (is_shared)
        lock_take(operation, locked);
    else
        send_request(operation);
}

void deletion_begin(struct operation *operation)
{
    struct engine *engine = operation->engine;
    const char *client_key_id = operation->command.client_key_id;

    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    const struct registry_key *key = registry_find_key(aap, client_key_id);
    const struct registry_key *foreign = registry_find_foreign(aap, client_key_id);
    bool ours = (key && !key->adopted) || registry_has_id(aap->rejected, client_key_id) ||
                registry_has_id(aap->orphans, client_key_id);
    bool elsewhere = foreign || key || registry_has_id(aap->candidates, client_key_id);
    bool is_current = key && key == aap->current;
    bool makes_place = is_current && operation->automatic && key->not_after_time <= engine_now(engine);
    if (!key)
        key = foreign;
    operation->key = key ? key->number : 0;
    registry_unlock(engine->parts.registry);

    const struct operation *deleting = engine_aap(engine, operation->aap)->upkeep.deleting;
    if (deleting && deleting != operation && strcmp(deleting->command.client_key_id, client_key_id) == 0) {
        operation_refuse(operation, EBUSY, "Busy", "it is being deleted already; look at keys/");
        return;
    }
    bool asked_for_elsewhere = operation->command.verb == CONTROL_DELETE_FOREIGN;
    if (!is_current && (ours ? asked_for_elsewhere : elsewhere && !asked_for_elsewhere)) {
        operation_refuse(operation, EPERM, "NotOurs", ours ? "it was made here: write delete instead of delete-foreign"
                              : "it was made elsewhere, or may have been; to delete it all the same write "
                                "delete-foreign instead of delete");
        return;
    }
    if (!ours && !elsewhere) {
        operation_refuse(operation, ENOENT, "UnknownKey",
                         "no client key of that id is known here; look into keys/ and status");
        return;
    }
    if (is_current && !makes_place) {
        operation_refuse(operation, EBUSY, "CurrentKey", "the current key is not deleted; make a new one first");
        return;
    }
    /* another account's KMS would say that it does not know the key */
    account_require(operation, find_users);
}
