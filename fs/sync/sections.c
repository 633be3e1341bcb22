#include "fs/sync/sections.h"

#include "fs/base/log.h"
#include "fs/engine/engine.h"

enum { LINES_MOST = 20 };

static bool is_shown(struct registry *registry, const char *name)
{
    registry_lock(registry);
    const struct registry_aap *aap = registry_find_aap(registry, name);
    bool shown = aap && numbers_aap(registry_numbers(registry), aap->number)->shown;
    registry_unlock(registry);
    return shown;
}

void sections_tell(struct engine *engine)
{
    const struct config *config = engine->parts.config;
    size_t missing = 0;
    if (engine->sections_told)
        return;
    engine->sections_told = true;
    for (size_t i = 0; i < config->section_count; i++) {
        const char *name = config->sections[i].name;
        if (is_shown(engine->parts.registry, name))
            continue;
        if (missing++ < LINES_MOST)
            log_warning("%s: [aap %s]: KMS has no such AAP (or it is not shown)", config->file, name);
    }
    if (missing > LINES_MOST)
        log_warning("%s: %zu more sections of that kind", config->file, missing - LINES_MOST);
}

void sections_tell_again(struct engine *engine)
{
    engine->sections_told = false;
}
