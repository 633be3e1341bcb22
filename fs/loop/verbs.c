#include "fs/loop/verbs.h"

#include <errno.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/adopt.h"
#include "fs/keys/creation.h"
#include "fs/keys/deletion.h"
#include "fs/keys/forget.h"
#include "fs/keys/recheck.h"
#include "fs/keys/unsaved.h"
#include "fs/loop/foreign_state.h"
#include "fs/loop/inherit.h"
#include "fs/loop/reload.h"
#include "fs/sync/aaps.h"
#include "fs/upkeep/rotations.h"
#include "fs/upkeep/upkeep.h"

/* Only this worker has a key that is not on the disk yet: it does not make way for another one before. */
static void begin_upgrade(struct operation *operation)
{
    struct engine *engine = operation->engine;
    if (engine->unsaved) {
        operation_refuse(operation, EBUSY, UNSAVED_CODE,
                         "a client key is served and not saved yet (Unsaved in its AAP's status), and the new version "
                         "would not know it; make room on the disk, and upgrade when it is saved");
        return;
    }
    operation_wait_until(operation, INT64_MAX); /* the supervisor has its own */
    engine->parts.upgrade(engine->parts.answer_user, operation->waiters.writes[0], false);
}

static void begin_sync(struct operation *operation)
{
    sync_begin(operation->engine, operation);
}

const struct verb verbs[CONTROL_VERBS] = {
    [CONTROL_NOT_PARSED] = {FAILURE_CONTROL},
    [CONTROL_CREATE] = {FAILURE_CREATION, creation_begin, .asks_kms = true},
    [CONTROL_DELETE] = {FAILURE_DELETION, deletion_begin, .asks_kms = true},
    [CONTROL_DELETE_FOREIGN] = {FAILURE_DELETION, deletion_begin, .asks_kms = true},
    [CONTROL_ADOPT] = {FAILURE_ADOPTION, adopt_begin, .asks_kms = true},
    [CONTROL_RETRY_CHECK] = {FAILURE_CREATION, recheck_begin}, /* the end of the creation that the key came from */
    [CONTROL_ROTATE] = {FAILURE_CREATION, rotations_create, .asks_kms = true},
    [CONTROL_RELOADED] = {FAILURE_RELOADED, upkeep_begin_reloaded, .beside_others = true},
    [CONTROL_SYNC] = {FAILURE_SYNC, begin_sync, .asks_kms = true},
    [CONTROL_UPGRADE] = {FAILURE_UPGRADE, begin_upgrade},
    [CONTROL_RELOAD] = {FAILURE_RELOAD, reload_begin},
    [CONTROL_FORGET] = {FAILURE_FORGET, forget_begin, .asks_kms = true},
    [CONTROL_ADOPT_STATE] = {FAILURE_ADOPT_STATE, foreign_state_adopt},
    [CONTROL_ROTATE_DUE] = {FAILURE_ROTATE_DUE, upkeep_begin_rotate_due, .beside_others = true},
    [CONTROL_PUBLISH] = {FAILURE_CREATION},
    [CONTROL_SHARED_KEY] = {FAILURE_CREATION},
    [CONTROL_INHERITED] = {FAILURE_CREATION, inherit_begin, .beside_others = true},
};
