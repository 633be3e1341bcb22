#include "fs/fleet/fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/etcd/configured.h"
#include "fs/fleet/connection.h"
#include "fs/fleet/fleet_aap.h"
#include "fs/fleet/hosts.h"
#include "fs/fleet/lock.h"
#include "fs/fleet/outage.h"
#include "fs/fleet/push.h"
#include "fs/fleet/reconcile.h"
#include "fs/fleet/served.h"
#include "fs/store/machine.h"
#include "kmsapi/cleanup.h"

enum { MARK_BYTES = 4, NONCE_BYTES = 16 };

/* -- this host's name ---------------------------------------------------------------------- */

static void put_hexadecimal(char *text, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
}

/* The machine's name, and a mark: of its id, and of the state directory, which each mount of it has for itself. */
static void name_host(struct fleet *fleet)
{
    char text[128 + STATE_PATH_SIZE] = "", mark[2 * MARK_BYTES + 1];
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    _cleanup_(close) int file = open(MACHINE_ID_FILE, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, 64);
    length = length < 0 ? 0 : length;
    length += snprintf(text + length, sizeof(text) - (size_t)length, "%s", fleet->engine->parts.state->path);
    (void)EVP_Digest(text, (size_t)length, digest, NULL, EVP_sha256(), NULL);
    put_hexadecimal(mark, digest, MARK_BYTES);
    char host[128] = "";
    (void)gethostname(host, sizeof(host) - 1);
    for (char *c = host; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == '/' || (c == host && *c == '.'))
            *c = '-';
    snprintf(fleet->host, sizeof(fleet->host), "%s%s%s", host, host[0] ? "-" : "", mark);
}

/* -- the start and the end ----------------------------------------------------------------- */

static int start(struct engine *engine, struct fleet_store *store)
{
    unsigned char nonce[NONCE_BYTES] = {0};
    struct fleet *fleet = engine->fleet = calloc(1, sizeof(*fleet));
    if (!fleet) {
        fleet_free(store);
        return log_failure(-ENOMEM, "[fleet]: memory is short");
    }
    fleet->engine = engine;
    fleet->store = store;
    memcpy(fleet->prefix, engine->parts.config->fleet.prefix, sizeof(fleet->prefix));
    name_host(fleet);
    (void)RAND_bytes(nonce, sizeof(nonce));
    put_hexadecimal(fleet->nonce, nonce, sizeof(nonce));
    outage_show(fleet);
    return 0;
}

int fleet_start_with(struct engine *engine, struct fleet_store *store, const unsigned char key[static SEAL_KEY_SIZE])
{
    int r = start(engine, store);
    if (r == 0) {
        memcpy(engine->fleet->key, key, SEAL_KEY_SIZE);
        engine->fleet->has_key = true;
    }
    return r;
}

int fleet_start(struct engine *engine)
{
    const struct config_fleet *config = &engine->parts.config->fleet;
    struct fleet_store *store;
    char reason[512];
    if (config->etcd_count == 0)
        return 0;
    int r = configured_store(config, &store, reason, sizeof(reason));
    return r < 0 ? log_failure(r, "[fleet] etcd: %s", reason) : start(engine, store);
}

void fleet_stop(struct engine *engine)
{
    struct fleet *fleet = engine->fleet;
    if (!fleet)
        return;
    engine->fleet = NULL;
    if (fleet->watch)
        fleet_end_watch(fleet->store, fleet->watch);
    locks_end(fleet);
    served_end(fleet);
    hosts_end(fleet);
    fleet_free(fleet->store);
    for (uint32_t number = 1; number < engine->aap_room; number++)
        if (engine->aaps[number] && engine->aaps[number]->fleet)
            fleet_aap_free(fleet, steal_pointer(&engine->aaps[number]->fleet));
    due_free(&fleet->due);
    OPENSSL_cleanse(fleet->key, sizeof(fleet->key));
    free(fleet);
}

/* -- each turn ----------------------------------------------------------------------------- */

void fleet_look(struct engine *engine, uint32_t number)
{
    struct fleet_aap *aap = engine->fleet ? fleet_aap_make(engine->fleet, number) : NULL;
    if (aap)
        fleet_aap_due(engine->fleet, aap, clock_monotonic_ms());
}

static bool may_ask(const struct fleet *fleet)
{
    return fleet->stage == FLEET_IS_LISTED && fleet->under_way < FLEET_UNDER_WAY_MOST;
}

void fleet_turn(struct engine *engine)
{
    struct fleet *fleet = engine->fleet;
    uint32_t number;
    if (!fleet)
        return;
    (void)fleet_tend(fleet->store); /* what was answered */
    fleet->next_ms = connection_tend(fleet);
    while (may_ask(fleet) && fleet->again_ms <= clock_monotonic_ms() && (number = due_take(&fleet->due, clock_monotonic_ms())))
        reconcile(fleet, fleet_aap_find(fleet, number));
    locks_tend(fleet);
    served_tend(fleet);
    hosts_tend(fleet);
    int64_t store_ms = fleet_tend(fleet->store); /* what is asked for now */
    if (fleet->gives_up) {
        fleet->gives_up = false;
        push_give_up(fleet);
    }
    fleet->next_ms = store_ms < fleet->next_ms ? store_ms : fleet->next_ms;
}

int64_t fleet_next_ms(const struct engine *engine)
{
    const struct fleet *fleet = engine->fleet;
    if (!fleet)
        return INT64_MAX;
    int64_t due_ms = may_ask(fleet) ? due_when(&fleet->due) : INT64_MAX;
    if (due_ms < fleet->again_ms)
        due_ms = fleet->again_ms;
    int64_t next_ms = fleet->next_ms;
    const int64_t parts_ms[] = {due_ms, locks_next_ms(fleet), served_next_ms(fleet), hosts_next_ms(fleet)};
    for (size_t i = 0; i < sizeof(parts_ms) / sizeof(parts_ms[0]); i++)
        next_ms = parts_ms[i] < next_ms ? parts_ms[i] : next_ms;
    return next_ms;
}

int fleet_watched(const struct engine *engine)
{
    return engine->fleet ? fleet_descriptor(engine->fleet->store) : -1;
}
