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
#include "fs/loop/reload.h"
#include "fs/sync/aaps.h"
#include "fs/upkeep/rotations.h"

static const char *const verb_names[] = {
    [CONTROL_CREATE] = "CreateClientKey",
    [CONTROL_DELETE] = "DeleteClientKey",
    [CONTROL_DELETE_FOREIGN] = "DeleteClientKey",
    [CONTROL_ADOPT] = "adopt",
    [CONTROL_RETRY_CHECK] = "CreateClientKey",
    [CONTROL_ROTATE] = "CreateClientKey",
    [CONTROL_RELOADED] = "reloaded",
    [CONTROL_ROTATE_DUE] = "rotate-due",
    [CONTROL_PUBLISH] = "CreateClientKey",
    [CONTROL_SYNC] = "ListApplicationAccessPoints",
    [CONTROL_UPGRADE] = "upgrade",
    [CONTROL_RELOAD] = "reload",
    [CONTROL_FORGET] = "forget",
    [CONTROL_ADOPT_STATE] = "adopt-state",
};

const char *verbs_name(enum control_verb verb)
{
    return verb_names[verb];
}

bool verbs_asks_kms(enum control_verb verb)
{
    return verb != CONTROL_RELOAD && verb != CONTROL_UPGRADE && verb != CONTROL_ADOPT_STATE && verb != CONTROL_RETRY_CHECK;
}

/* Only this worker has a key that is not on the disk yet: it does not make way for another one before. */
static void begin_upgrade(struct operation *operation)
{
    struct engine *engine = operation->engine;
    if (engine->unsaved) {
        operation_refuse(operation, verb_names[CONTROL_UPGRADE], EBUSY, UNSAVED_CODE,
                         "a client key is served and not saved yet (Unsaved in its AAP's status), and the new version "
                         "would not know it; make room on the disk, and upgrade when it is saved");
        return;
    }
    operation->deadline_ms = INT64_MAX; /* the supervisor has its own */
    engine->parts.upgrade(engine->parts.answer_user, operation->waiting[0], false);
}

void verbs_begin(struct operation *operation)
{
    switch (operation->command.verb) {
    case CONTROL_CREATE:
        rotation_begin(operation);
        break;
    case CONTROL_DELETE:
    case CONTROL_DELETE_FOREIGN:
        retire_begin(operation);
        break;
    case CONTROL_ADOPT:
        adopt_begin(operation);
        break;
    case CONTROL_RETRY_CHECK:
        recheck_begin(operation);
        break;
    case CONTROL_ROTATE:
        automatic_rotate(operation);
        break;
    case CONTROL_SYNC:
        sync_begin(operation->engine, operation);
        break;
    case CONTROL_UPGRADE:
        begin_upgrade(operation);
        break;
    case CONTROL_RELOAD:
        reload_begin(operation);
        break;
    case CONTROL_FORGET:
        forget_begin(operation);
        break;
    case CONTROL_ADOPT_STATE:
        foreign_adopt(operation);
        break;
    case CONTROL_RELOADED:
    case CONTROL_ROTATE_DUE:
    case CONTROL_PUBLISH:
        break; /* not begun here: upkeep.h */
    }
}
