#include "fs/fleet/served.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/base/nanoseconds.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/fleet/fleet_parts.h"
#include "fs/fleet/lock.h"
#include "fs/fleet/notes.h"
#include "fs/model/order.h"
#include "kmsapi/base/backoff.h"
#include "kmsapi/cleanup.h"

enum { AT_ONCE = 4, FIRST_RETRY_MS = 1000, LAST_RETRY_MS = 60 * 1000 };

/* -- what this host tells ------------------------------------------------------------------ */

/* Of one AAP. */
struct report {
    struct due_entry due; /* CLOCK_MONOTONIC; with the AAP's number */
    struct fleet *fleet;
    uint32_t key, told_key; /* that its names show, as of the last look, and as the fleet was told; 0: none */
    bool notified, told_notified;
    uint32_t sent_key; /* what the request under way tells */
    bool sent_notified;
    bool asking;
    int64_t revision; /* mod_revision of what stands there; 0: nothing that is known */
    int64_t since;
    unsigned int failures;
};

struct served {
    struct due due;
    struct report **reports; /* by AAP */
    size_t room;
    unsigned int asking, untold;
    struct asking *askings;
};

static struct report *find_report(const struct fleet *fleet, uint32_t aap)
{
    return fleet->served && aap < fleet->served->room ? fleet->served->reports[aap] : NULL;
}

static bool make_room(struct served *served, uint32_t aap)
{
    size_t room = aap < 32 ? 64 : (size_t)aap * 2;
    if (aap < served->room)
        return true;
    struct report **grown = reallocarray(served->reports, room, sizeof(struct report *));
    if (!grown)
        return false;
    served->reports = grown;
    while (served->room < room)
        grown[served->room++] = NULL;
    return true;
}

/* NULL: memory is short; a later look makes it. */
static struct report *make_report(struct fleet *fleet, uint32_t aap)
{
    if (!fleet->served && !(fleet->served = calloc(1, sizeof(*fleet->served))))
        return NULL;
    struct served *served = fleet->served;
    struct report *report = make_room(served, aap) && due_reserve(&served->due) ? calloc(1, sizeof(*report)) : NULL;
    if (!report)
        return NULL;
    report->fleet = fleet;
    due_add(&served->due, &report->due, aap);
    return served->reports[aap] = report;
}

static bool is_told(const struct report *report)
{
    return report->key == report->told_key && report->notified == report->told_notified;
}

void served_look(struct engine *engine, uint32_t number)
{
    struct fleet *fleet = engine->fleet;
    if (!fleet)
        return;
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    struct numbers *numbers = registry_numbers(engine->parts.registry);
    uint32_t generation = aap ? numbers_aap(numbers, number)->settled_generation : 0;
    uint32_t key = generation ? numbers_generation(numbers, generation)->key : 0;
    const struct registry_key *shown = key ? registry_key(engine->parts.registry, key) : NULL;
    bool notified = shown && strcmp(aap->notified.client_key_id, shown->client_key_id) == 0;
    int64_t since = generation ? numbers_generation(numbers, generation)->made_ns / nanoseconds(1) : 0;
    /* what is about to be shown is still to be told, too */
    uint32_t number_of_key = shown ? key : aap && aap->current ? aap->current->number : 0;
    struct report *report = number_of_key ? find_report(fleet, number) : NULL;
    if (number_of_key && !report)
        report = make_report(fleet, number);
    registry_unlock(engine->parts.registry);
    if (!report)
        return;
    bool was_told = is_told(report);
    report->key = number_of_key;
    report->notified = notified;
    report->since = since;
    fleet->served->untold += was_told && !is_told(report);
    fleet->served->untold -= !was_told && is_told(report);
    if (shown && !is_told(report) && !report->asking)
        due_by(&fleet->served->due, &report->due, clock_monotonic_ms() + (report->failures ? FIRST_RETRY_MS : 0));
}

/* The note, and its name; NULL: that key is no more, or memory is short. */
static char *note_of(const struct report *report, char name[static FLEET_KEY_SIZE])
{
    struct registry *registry = report->fleet->engine->parts.registry;
    struct note_served note = {.since = report->since};
    struct fleet_name parts = {.kind = FLEET_SERVED};
    registry_lock(registry);
    const struct registry_aap *aap = registry_aap(registry, report->due.number);
    const struct registry_key *key = aap ? registry_key(registry, report->key) : NULL;
    if (key) {
        memcpy(note.client_key_id, key->client_key_id, sizeof(note.client_key_id));
        memcpy(note.notified, aap->notified.client_key_id, sizeof(note.notified));
        note.made_ns = order_made_ns(key);
        snprintf(parts.aap, sizeof(parts.aap), "%s", aap->name);
    }
    registry_unlock(registry);
    snprintf(note.nonce, sizeof(note.nonce), "%s", report->fleet->nonce);
    snprintf(parts.id, sizeof(parts.id), "%s", report->fleet->host);
    return key && fleet_name_put(report->fleet->prefix, &parts, name) == 0 ? note_served_put(&note) : NULL;
}

static void end_report(struct report *report, const struct fleet_error *error, bool done)
{
    struct served *served = report->fleet->served;
    bool was_told = is_told(report);
    report->asking = false;
    served->asking--;
    if (done) {
        report->told_key = report->sent_key;
        report->told_notified = report->sent_notified;
        served->untold -= !was_told && is_told(report);
        served->untold += was_told && !is_told(report);
    }
    if (is_told(report))
        return;
    report->failures = error->number ? report->failures + 1 : 0;
    int64_t wait_ms = report->failures ? backoff_ms(FIRST_RETRY_MS, LAST_RETRY_MS, report->failures - 1) : 0;
    due_by(&served->due, &report->due, clock_monotonic_ms() + wait_ms);
}

/* What stands there instead is this host's own, from an earlier worker, or from a request that was sent twice. */
static void reported(void *user, const struct fleet_error *error, bool done, int64_t revision, const struct fleet_entry *found)
{
    struct report *report = user;
    if (done)
        report->revision = revision;
    else if (!error->number)
        report->revision = found->version ? found->mod_revision : 0;
    end_report(report, error, done);
}

static void report_now(struct report *report)
{
    static const struct fleet_error no_memory = {.number = ENOMEM};
    const struct fleet *fleet = report->fleet;
    char name[FLEET_KEY_SIZE];
    unsigned char *bytes = NULL;
    size_t size = 0;
    _cleanup_(free) char *text = note_of(report, name);
    int r = text ? fleet_note_close(fleet->key, name, text, &bytes, &size) : -ENOMEM;
    const struct fleet_commit commit = {
        .compares = &(struct fleet_compare){
            .key = name,
            .what = report->revision ? FLEET_MOD_REVISION : FLEET_VERSION,
            .equals = report->revision,
        },
        .compare_count = 1,
        .changes = &(struct fleet_change){.key = name, .value = bytes, .size = size},
        .change_count = 1,
        .timeout_ms = FLEET_TIMEOUT_MS,
        .ended = reported,
        .user = report,
    };
    report->asking = true;
    report->sent_key = report->key;
    report->sent_notified = report->notified;
    fleet->served->asking++;
    if (r == 0)
        r = fleet_commit(fleet->store, &commit);
    OPENSSL_clear_free(bytes, size);
    if (r < 0)
        end_report(report, &no_memory, false);
}

bool served_is_told(const struct fleet *fleet)
{
    return !fleet->served || fleet->served->untold == 0;
}

static bool may_report(const struct fleet *fleet)
{
    return fleet->served && fleet->stage == FLEET_IS_LISTED && fleet->served->asking < AT_ONCE;
}

void served_tend(struct fleet *fleet)
{
    struct due_entry *entry;
    while (may_report(fleet) && (entry = due_take_entry(&fleet->served->due, clock_monotonic_ms()))) {
        struct report *report = (struct report *)((char *)entry - offsetof(struct report, due));
        if (!report->asking && !is_told(report))
            report_now(report);
    }
}

int64_t served_next_ms(const struct fleet *fleet)
{
    return may_report(fleet) ? due_when(&fleet->served->due) : INT64_MAX;
}

/* -- what the others have told ------------------------------------------------------------- */

struct other_host {
    char name[FLEET_ID_SIZE];
    struct note_presence presence;
    bool is_read;  /* PRESENCE */
    bool has_told; /* what it serves of the AAP */
    bool is_good;
    struct other_host *next;
};

struct asking {
    struct operation *operation;
    void (*then)(struct operation *operation, const char *host);
    char prefix[FLEET_KEY_SIZE];
    struct other_host *hosts;
    int64_t made_ns; /* of the current key here */
    bool is_short;   /* memory */
    struct asking *next, **link;
};

static void free_asking(struct asking *asking)
{
    while (asking->hosts) {
        struct other_host *host = asking->hosts;
        asking->hosts = host->next;
        free(host);
    }
    *asking->link = asking->next;
    if (asking->next)
        asking->next->link = asking->link;
    free(asking);
}

/* One that has nothing to tell of the AAP, and has told of all it has, does not use its keys. */
static const char *first_user(const struct asking *asking)
{
    for (const struct other_host *host = asking->hosts; host; host = host->next)
        if (host->has_told ? !host->is_good : !(host->is_read && host->presence.reported))
            return host->name;
    return NULL;
}

static void end_asking(struct asking *asking, const struct fleet_error *error)
{
    struct operation *operation = asking->operation;
    if (error->number)
        lock_fail(operation, error);
    else if (asking->is_short)
        operation_refuse(operation, ENOMEM, "Memory", "memory is short; nothing was sent");
    else
        asking->then(operation, first_user(asking));
    free_asking(asking);
}

static bool is_of_other(const struct fleet *fleet, const struct fleet_entry *entry, enum fleet_kind kind, struct fleet_name *name)
{
    return fleet_name_take(fleet->prefix, entry->key, name) == 0 && name->kind == kind && strcmp(name->id, fleet->host) != 0;
}

static void found_host(void *user, const struct fleet_entry *entry)
{
    struct asking *asking = user;
    const struct fleet *fleet = asking->operation->engine->fleet;
    struct fleet_name name;
    char *text;
    if (!is_of_other(fleet, entry, FLEET_HOST, &name))
        return;
    struct other_host *host = calloc(1, sizeof(*host));
    if (!host) {
        asking->is_short = true;
        return;
    }
    memcpy(host->name, name.id, sizeof(host->name));
    if (fleet_note_open(fleet->key, entry->key, entry->value, entry->size, &text) == 0) {
        host->is_read = note_presence_take(text, &host->presence) == 0;
        OPENSSL_clear_free(text, strlen(text));
    }
    host->next = asking->hosts;
    asking->hosts = host;
}

/* What an earlier worker of the host has told may be of an AAP that it does not have any more. */
static void found_served(void *user, const struct fleet_entry *entry)
{
    struct asking *asking = user;
    const struct fleet *fleet = asking->operation->engine->fleet;
    struct note_served note;
    struct fleet_name name;
    char *text;
    if (!is_of_other(fleet, entry, FLEET_SERVED, &name))
        return;
    struct other_host *host = asking->hosts;
    while (host && strcmp(host->name, name.id) != 0)
        host = host->next;
    if (!host || fleet_note_open(fleet->key, entry->key, entry->value, entry->size, &text) < 0)
        return;
    if (note_served_take(text, &note) == 0 && strcmp(note.nonce, host->presence.nonce) == 0) {
        host->has_told = true;
        host->is_good = note.made_ns >= asking->made_ns &&
                        (!asking->operation->automatic || strcmp(note.notified, note.client_key_id) == 0);
    }
    OPENSSL_clear_free(text, strlen(text));
}

static void served_are_read(void *user, const struct fleet_error *error, int64_t revision)
{
    end_asking(user, error);
}

static void ask(struct asking *asking, void (*found)(void *, const struct fleet_entry *),
                void (*ended)(void *, const struct fleet_error *, int64_t))
{
    static const struct fleet_error no_memory = {.number = ENOMEM, .text = "memory is short"};
    const struct fleet_get get = {
        .key = asking->prefix,
        .prefix = true,
        .timeout_ms = FLEET_TIMEOUT_MS,
        .found = found,
        .ended = ended,
        .user = asking,
    };
    if (fleet_get(asking->operation->engine->fleet->store, &get) < 0)
        end_asking(asking, &no_memory);
}

static void hosts_are_read(void *user, const struct fleet_error *error, int64_t revision)
{
    struct asking *asking = user;
    char aap_name[AAP_NAME_SIZE];
    operation_aap_name(asking->operation, aap_name);
    if (error->number || asking->is_short ||
        fleet_name_all(asking->operation->engine->fleet->prefix, FLEET_SERVED, aap_name, asking->prefix) < 0)
        end_asking(asking, error);
    else
        ask(asking, found_served, served_are_read);
}

void served_require(struct operation *operation, void (*then)(struct operation *operation, const char *host))
{
    struct engine *engine = operation->engine;
    struct fleet *fleet = engine->fleet;
    if (!fleet || fleet->stage == FLEET_REFUSED) { /* which the lock tells */
        then(operation, NULL);
        return;
    }
    if (!fleet->served)
        fleet->served = calloc(1, sizeof(*fleet->served));
    struct asking *asking = fleet->served ? calloc(1, sizeof(*asking)) : NULL;
    if (!asking || fleet_name_hosts(fleet->prefix, asking->prefix) < 0) {
        free(asking);
        operation_refuse(operation, ENOMEM, "Memory", "memory is short; nothing was sent");
        return;
    }
    asking->operation = operation;
    asking->then = then;
    asking->next = fleet->served->askings;
    asking->link = &fleet->served->askings;
    if (asking->next)
        asking->next->link = &asking->next;
    fleet->served->askings = asking;
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    asking->made_ns = aap && aap->current ? order_made_ns(aap->current) : 0;
    registry_unlock(engine->parts.registry);
    ask(asking, found_host, hosts_are_read);
}

void served_end(struct fleet *fleet)
{
    struct served *served = fleet->served;
    if (!served)
        return;
    while (served->askings)
        free_asking(served->askings);
    for (size_t aap = 0; aap < served->room; aap++)
        free(served->reports[aap]);
    free(served->reports);
    due_free(&served->due);
    free(served);
    fleet->served = NULL;
}
