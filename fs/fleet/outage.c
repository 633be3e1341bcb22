#include "fs/fleet/outage.h"

#include <stdio.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/fleet/fleet_parts.h"
#include "kmsapi/base/backoff.h"

enum { FIRST_RETRY_MS = 250, LAST_RETRY_MS = 8000, REFUSED_RETRY_MS = 60 * 1000 };

void outage_show(struct fleet *fleet)
{
    struct registry *registry = fleet->engine->parts.registry;
    registry_lock(registry);
    struct registry_fleet *shown = &registry_mount(registry)->fleet;
    shown->connected = fleet->stage == FLEET_IS_LISTED && !fleet->trouble[0];
    snprintf(shown->host, sizeof(shown->host), "%s", fleet->host);
    snprintf(shown->trouble, sizeof(shown->trouble), "%s", fleet->trouble);
    registry_unlock(registry);
}

static void set_trouble(struct fleet *fleet, const char *text)
{
    snprintf(fleet->trouble, sizeof(fleet->trouble), "%s", text);
    outage_show(fleet);
}

void outage_begin(struct fleet *fleet, const struct fleet_error *error)
{
    if (!fleet->in_outage)
        log_warning("the fleet's etcd: %s; what is here is served all the same, and told to the fleet when that is over",
                    error->text);
    fleet->in_outage = true;
    fleet->again_ms = clock_monotonic_ms() + backoff_ms(FIRST_RETRY_MS, LAST_RETRY_MS, fleet->failures++);
    fleet->gives_up = true;
    set_trouble(fleet, error->text);
}

void outage_end(struct fleet *fleet)
{
    if (fleet->in_outage)
        log_notice("the fleet's etcd answers again");
    fleet->in_outage = false;
    fleet->again_ms = 0;
    fleet->failures = 0;
    if (fleet->trouble[0])
        set_trouble(fleet, "");
}

void outage_refuse(struct fleet *fleet, const char *why)
{
    if (!fleet->refusal_told)
        log_error("%s%s; nothing is shared", strncmp(why, "[fleet]", 7) == 0 ? "" : "[fleet]: ", why);
    fleet->refusal_told = true;
    fleet->stage = FLEET_REFUSED;
    fleet->again_ms = clock_monotonic_ms() + REFUSED_RETRY_MS;
    set_trouble(fleet, why);
}
