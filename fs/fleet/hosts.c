#include "fs/fleet/hosts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/engine/engine.h"
#include "fs/fleet/fleet_parts.h"
#include "fs/fleet/notes.h"
#include "fs/fleet/served.h"
#include "kmsapi/cleanup.h"

enum {
#ifdef AAPFS_WITH_STOPS
    LEASE_SECONDS = 5,
#else
    LEASE_SECONDS = 60,
#endif
    RETRY_MS = 1000,
};

struct hosts {
    struct fleet *fleet;
    char name[FLEET_KEY_SIZE];
    struct fleet_lease *lease; /* NULL: none */
    int64_t lease_id;          /* 0: not granted yet */
    bool lost;                 /* the lease: another one is wanted */
    bool asking;
    bool written, told, telling; /* it is there; with `reported` so; and as the request under way has it */
    int64_t revision;          /* mod_revision of what stands there; 0: nothing that is known */
    int64_t again_ms;          /* not before that */
    int64_t since;
};

static void wait_a_while(struct hosts *hosts)
{
    hosts->again_ms = clock_monotonic_ms() + RETRY_MS;
}

/* What stands there instead is an earlier worker's, or one of an earlier lease, or was sent twice. */
static void committed(void *user, const struct fleet_error *error, bool done, int64_t revision, const struct fleet_entry *found)
{
    struct hosts *hosts = user;
    hosts->asking = false;
    if (error->number) {
        wait_a_while(hosts);
    } else if (done) {
        hosts->revision = revision;
        hosts->written = true;
        hosts->told = hosts->telling;
    } else {
        hosts->revision = found->version ? found->mod_revision : 0;
    }
}

static void write_presence(struct hosts *hosts)
{
    const struct fleet *fleet = hosts->fleet;
    unsigned char *bytes = NULL;
    size_t size = 0;
    struct note_presence note = {.since = hosts->since, .reported = hosts->told || served_is_told(fleet)};
    snprintf(note.nonce, sizeof(note.nonce), "%s", fleet->nonce);
    _cleanup_(free) char *text = note_presence_put(&note);
    int r = text ? fleet_note_close(fleet->key, hosts->name, text, &bytes, &size) : -ENOMEM;
    const struct fleet_commit commit = {
        .compares = &(struct fleet_compare){
            .key = hosts->name,
            .what = hosts->revision ? FLEET_MOD_REVISION : FLEET_VERSION,
            .equals = hosts->revision,
        },
        .compare_count = 1,
        .changes = &(struct fleet_change){.key = hosts->name, .value = bytes, .size = size, .lease = hosts->lease_id},
        .change_count = 1,
        .timeout_ms = FLEET_TIMEOUT_MS,
        .ended = committed,
        .user = hosts,
    };
    hosts->telling = note.reported;
    if (r == 0)
        r = fleet_commit(fleet->store, &commit);
    OPENSSL_clear_free(bytes, size);
    hosts->asking = r == 0;
    if (r < 0)
        wait_a_while(hosts);
}

static void granted(void *user, int64_t id)
{
    struct hosts *hosts = user;
    hosts->lease_id = id;
}

static void lost(void *user, const struct fleet_error *error)
{
    struct hosts *hosts = user;
    hosts->lost = true;
    wait_a_while(hosts);
}

static void take_lease(struct hosts *hosts)
{
    if (hosts->lease)
        fleet_end_lease(hosts->fleet->store, hosts->lease);
    hosts->lease_id = 0;
    hosts->lost = hosts->written = false;
    hosts->revision = 0;
    hosts->lease = fleet_lease(hosts->fleet->store, &(struct fleet_lease_wish){
        .ttl_s = LEASE_SECONDS,
        .timeout_ms = FLEET_TIMEOUT_MS,
        .granted = granted,
        .lost = lost,
        .user = hosts,
    });
    if (!hosts->lease)
        wait_a_while(hosts);
}

static bool start(struct fleet *fleet)
{
    struct fleet_name name = {.kind = FLEET_HOST};
    struct hosts *hosts = calloc(1, sizeof(*hosts));
    snprintf(name.id, sizeof(name.id), "%s", fleet->host);
    if (!hosts || fleet_name_put(fleet->prefix, &name, hosts->name) < 0) {
        free(hosts);
        return false;
    }
    hosts->fleet = fleet;
    hosts->since = engine_now(fleet->engine);
    fleet->hosts = hosts;
    return true;
}

static bool wants_lease(const struct hosts *hosts)
{
    return !hosts->lease || hosts->lost;
}

static bool wants_to_write(const struct hosts *hosts)
{
    return hosts->lease_id && (!hosts->written || (!hosts->told && served_is_told(hosts->fleet)));
}

void hosts_tend(struct fleet *fleet)
{
    if (fleet->stage != FLEET_IS_LISTED || (!fleet->hosts && !start(fleet)))
        return;
    struct hosts *hosts = fleet->hosts;
    if (hosts->asking || clock_monotonic_ms() < hosts->again_ms)
        return;
    if (wants_lease(hosts))
        take_lease(hosts);
    else if (wants_to_write(hosts))
        write_presence(hosts);
}

int64_t hosts_next_ms(const struct fleet *fleet)
{
    const struct hosts *hosts = fleet->hosts;
    if (fleet->stage != FLEET_IS_LISTED)
        return INT64_MAX;
    if (!hosts) /* or memory was short */
        return clock_monotonic_ms() + RETRY_MS;
    return !hosts->asking && (wants_lease(hosts) || wants_to_write(hosts)) ? hosts->again_ms : INT64_MAX;
}

void hosts_end(struct fleet *fleet)
{
    free(fleet->hosts);
    fleet->hosts = NULL;
}
