/*
 * metrics.prom: what monitors see, in Prometheus's text format. Nothing in it but a state's change moves with time, so
 * that the text stays the same as long as nothing happens. Pure; with the registry's lock held.
 */
#pragma once

#include <stdint.h>

#include "fs/model/counters.h"
#include "fs/model/registry.h"

struct metrics_source {
    struct registry *registry;
    const struct counters *counters;
    uint64_t worker_restarts;
};

/* NOW: KMS's time. malloc'ed; NULL when memory is short. */
char *metrics_text(const struct metrics_source *source, int64_t now);
