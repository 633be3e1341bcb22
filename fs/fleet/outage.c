#include "fs/fleet/outage.h"

#include "fs/base/log.h"
#include "fs/engine/kms_clock.h"
#include "fs/fleet/fleet_parts.h"
#include "kmsapi/base/backoff.h"

enum { FIRST_RETRY_MS = 250, LAST_RETRY_MS = 8000 };

void outage_begin(struct fleet *fleet, const struct fleet_error *error)
{
    if (!fleet->in_trouble)
        log_warning("fleet: %s; what is here is served all the same, and is told to the fleet when that is over", error->text);
    fleet->in_trouble = true;
    fleet->again_ms = clock_monotonic_ms() + backoff_ms(FIRST_RETRY_MS, LAST_RETRY_MS, fleet->failures++);
    fleet->gives_up = true;
}

void outage_end(struct fleet *fleet)
{
    if (fleet->in_trouble)
        log_notice("fleet: its etcd answers again");
    fleet->in_trouble = false;
    fleet->again_ms = 0;
    fleet->failures = 0;
}
