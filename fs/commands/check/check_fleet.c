#include "fs/commands/check/check.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/engine/kms_clock.h"
#include "fs/etcd/configured.h"
#include "fs/etcd/fleet_store.h"
#include "fs/fleet/fleet_key.h"
#include "fs/fleet/notes.h"
#include "fs/fleet/records.h"

enum { TIMEOUT_MS = 10 * 1000 };

static const char subject[] = "fleet";

/* One look at the store. */
struct look {
    struct check *check;
    const struct config_fleet *config;
    struct fleet_store *store;
    unsigned char key[SEAL_KEY_SIZE];
    char name[FLEET_KEY_SIZE]; /* of the note that says whose it is */
    bool found, ended;
};

static bool fails(struct look *look, const struct fleet_error *error, const char *what)
{
    if (error->number) {
        check_error(look->check, subject, "%s: %s", what, error->text);
        look->ended = true;
    }
    return error->number;
}

static void fail_for_memory(struct look *look)
{
    check_error(look->check, subject, "memory is short");
    look->ended = true;
}

/* -- whether we may write ---------------------------------------------------------------------- */

static void answered(void *user, const struct fleet_error *error, bool done, int64_t revision, const struct fleet_entry *found)
{
    struct look *look = user;
    char what[CONFIG_PREFIX_SIZE + 32];
    snprintf(what, sizeof(what), "%s/ cannot be written", look->config->prefix);
    if (!fails(look, error, what))
        check_ok(look->check, subject, "%s/ can be read and written", look->config->prefix);
    look->ended = true;
}

/* On a condition that never holds: etcd asks for every right that a commit needs before it looks at that, and nothing changes. */
static void try_to_write(struct look *look)
{
    const struct fleet_commit commit = {
        .compares = &(struct fleet_compare){.key = look->name, .what = FLEET_MOD_REVISION, .equals = INT64_MAX},
        .compare_count = 1,
        .changes = &(struct fleet_change){.key = look->name, .value = "", .size = 0},
        .change_count = 1,
        .timeout_ms = TIMEOUT_MS,
        .ended = answered,
        .user = look,
    };
    if (fleet_commit(look->store, &commit) < 0)
        fail_for_memory(look);
}

/* -- whose it is ------------------------------------------------------------------------------- */

static void compare(struct look *look, const struct fleet_entry *entry)
{
    struct note_check note = {0};
    char *text = NULL;
    int r = fleet_note_open(look->key, entry->key, entry->value, entry->size, &text);
    if (r == 0)
        r = note_check_take(text, &note);
    if (text)
        OPENSSL_clear_free(text, strlen(text));
    if (r < 0)
        check_error(look->check, subject, "fleet_key is another one than that of the hosts that share keys under %s; right is the same "
                    "on every host", look->config->prefix);
    else if (strcmp(note.region, look->check->config->region) != 0 ||
             (look->check->account[0] && strcmp(note.account, look->check->account) != 0))
        check_error(look->check, subject, "the keys under %s are those of account %s in %s; right is another prefix for another "
                    "account or region", look->config->prefix, note.account, note.region);
    else
        check_ok(look->check, subject, "fleet_key is that of the hosts that share keys under %s", look->config->prefix);
}

static void note_found(void *user, const struct fleet_entry *entry)
{
    struct look *look = user;
    look->found = true;
    compare(look, entry);
}

static void note_read(void *user, const struct fleet_error *error, int64_t revision)
{
    struct look *look = user;
    if (fails(look, error, "etcd"))
        return;
    if (!look->found)
        check_ok(look->check, subject, "nobody shares keys under %s yet", look->config->prefix);
    try_to_write(look);
}

static void look_at_store(struct look *look)
{
    const struct fleet_get get = {
        .key = look->name, .timeout_ms = TIMEOUT_MS, .found = note_found, .ended = note_read, .user = look};
    (void)fleet_name_put(look->config->prefix, &(struct fleet_name){.kind = FLEET_CHECK}, look->name); /* as long as config.h allows */
    if (fleet_get(look->store, &get) < 0)
        fail_for_memory(look);
    while (!look->ended) {
        struct pollfd polled = {.fd = fleet_descriptor(look->store), .events = POLLIN};
        int64_t wait_ms = fleet_tend(look->store) - clock_monotonic_ms();
        if (!look->ended)
            (void)poll(&polled, 1, wait_ms < 0 ? 0 : wait_ms > TIMEOUT_MS ? TIMEOUT_MS : (int)wait_ms);
    }
    fleet_free(look->store);
}

void check_fleet(struct check *check)
{
    struct look look = {.check = check, .config = &check->config->fleet};
    char reason[512];
    if (look.config->etcd_count == 0)
        return;
    if (fleet_key_read(look.config, look.key, reason, sizeof(reason)) < 0 ||
        configured_store(look.config, &look.store, reason, sizeof(reason)) < 0)
        check_error(check, subject, "%s", reason);
    else
        look_at_store(&look);
    OPENSSL_cleanse(look.key, sizeof(look.key));
}
