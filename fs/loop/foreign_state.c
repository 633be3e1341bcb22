#include "fs/loop/foreign_state.h"

#include <string.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/store/machine.h"

static void set_foreign(struct engine *engine, bool foreign)
{
    engine->foreign_state = foreign;
    engine_wake_all(engine);
    registry_lock(engine->parts.registry);
    registry_mount(engine->parts.registry)->foreign_state = foreign;
    registry_unlock(engine->parts.registry);
}

void foreign_state_look(struct engine *engine)
{
    const struct state *state = engine->parts.state;
    /* made where there was no id; a disk that refuses is told of by what has to be written */
    if (engine->store && !machine_is_noted(state->directory))
        (void)machine_note(state->directory, MACHINE_ID_FILE);
    if (!engine->store || !machine_is_other(state->directory, MACHINE_ID_FILE))
        return;
    set_foreign(engine, true);
    if (engine->parts.first)
        log_warning("%s: it was made on another machine; its keys are served; if it belongs to this one now, write "
                    "adopt-state to .aapfs/control", state->path);
}

void foreign_state_adopt(struct operation *operation)
{
    struct engine *engine = operation->engine;
    int r = engine->foreign_state ? machine_note(engine->parts.state->directory, MACHINE_ID_FILE) : 0;
    if (r < 0) {
        operation_refuse(operation, -r, "State", "%s: %s; nothing was changed", engine->parts.state->path, strerror(-r));
        return;
    }
    set_foreign(engine, false);
    operation_succeed(operation);
}
