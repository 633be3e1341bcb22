/* The parts of a worker; worker.c, engine_host.c and nobody else. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/mount/mount_memory.h"
#include "fs/worker/worker.h"

struct worker {
    const struct worker_parts *parts;
    struct mount_memory memory;
    struct receive_slots *slots;
    struct client_key_library *library;
    struct registry *registry;
    struct credential_runs *credential_runs;
    struct credentials_source *credentials; /* NULL: those of the parts */
    struct transport *transport;
    struct publications *publications;
    struct runs *runs;
    struct pending *pending;
    struct engine *_Atomic engine; /* its own thread may look before it is noted here */
    struct session *session;
    struct config *reloaded; /* NULL: that of the parts holds; the engine's thread */
    bool reloading; /* the supervisor is to hear when it holds; the engine's thread */
    uint32_t config; /* its number in the mount memory; the engine's thread */
    struct counters *counters;
    struct audit *audit; /* NULL: opens are not told */
    struct audit_log *audit_log;
    bool told_listed; /* the engine's thread */
    atomic_bool leaving; /* what waits is another worker's */
};
