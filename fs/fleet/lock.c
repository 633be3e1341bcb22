#include "fs/fleet/lock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/fleet/fleet_parts.h"
#include "fs/fleet/notes.h"

/*
 * The lease is renewed when a third of its time is over, and is not counted on in the last part: what is left of it in between
 * must be enough for a request.
 */
enum {
#ifdef AAPFS_WITH_STOPS
    LEASE_SECONDS = 3,
#else
    LEASE_SECONDS = 20,
#endif
    AGAIN_MS = 200, /* until it is looked whether the fleet can be asked */
};

enum lock_step {
    LOCK_WAITS,   /* until it is known what the fleet has */
    LOCK_LOOKS,   /* whether another host has it, which costs no lease */
    LOCK_LEASES,
    LOCK_COMMITS,
    LOCK_IS_HELD,
};

struct fleet_lock {
    struct fleet *fleet;
    uint32_t aap;
    char name[FLEET_KEY_SIZE];
    enum lock_step step;
    int64_t until_ms;          /* by then it is held, or is not got; CLOCK_MONOTONIC */
    struct fleet_lease *lease; /* NULL: none yet */
    int64_t lease_id, mod_revision;
    bool lost;   /* nothing may rely on it any more */
    bool asking; /* the store was asked; its answer comes here */
    bool tended; /* in this turn */
    unsigned int users;
    void *kept; /* of what its holder has asked the store for; NULL: nothing */
    void (*free_kept)(void *kept);
    char *intent; /* intents.c: of its holder; NULL: none stands in the fleet */
    struct fleet_lock *next;
};

/* -- operations that wait for it ----------------------------------------------------------- */

void lock_yield(struct operation *operation, const char *code, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    operation->yields = operation->automatic;
    if (operation->yields)
        operation_end(operation, -EBUSY);
    else
        operation_refuse(operation, EBUSY, code, "%s", text);
}

/* As a program knows it that writes to control: what the store's other numbers say is its own. */
static int told_number(int number)
{
    return number == ETIMEDOUT || number == ECONNREFUSED || number == ECONNRESET || number == EHOSTUNREACH || number == ENOMEM
               ? number : EIO;
}

void lock_fail(struct operation *operation, const struct fleet_error *error)
{
    operation_refuse(operation, told_number(error->number), "Fleet", "the fleet's etcd: %.400s; nothing was sent to KMS",
                     error->text);
}

/* Every operation that waits for LOCK goes the way of WITH, which may end it. LOCK is held meanwhile. */
static void each_waiting(struct fleet_lock *lock, void (*with)(struct operation *operation, const void *what), const void *what)
{
    for (struct operation *operation = lock->fleet->engine->operations; operation; operation = operation->next) {
        if (operation->stage != OPERATION_WAITS_FOR_FLEET || operation->fleet_lock != lock)
            continue;
        operation_enter(operation, OPERATION_UNDER_WAY);
        with(operation, what);
    }
}

static void go_on(struct operation *operation, const void *unused)
{
    operation->fleet_then(operation);
}

static void fail(struct operation *operation, const void *error)
{
    lock_fail(operation, error);
}

static void give_way(struct operation *operation, const void *host)
{
    lock_yield(operation, "FleetBusy", "the host %s of the fleet is making or deleting a client key of this AAP; look at status, "
               "and write again if another one is wanted", (const char *)host);
}

static void refuse(struct operation *operation, const void *unused)
{
    operation_refuse(operation, EACCES, "FleetRefused", "this host takes no part in its fleet: see the log; nothing was sent to "
                     "KMS");
}

/* -- its end ------------------------------------------------------------------------------- */

/* Whether a key that was made with it is still to be told to the others. */
static bool is_owed(const struct fleet_lock *lock)
{
    const struct engine_aap *notes = engine_noted(lock->fleet->engine, lock->aap);
    return lock->step == LOCK_IS_HELD && !lock->lost && notes->fleet && notes->fleet->intent;
}

static void unlink_lock(struct fleet_lock *lock)
{
    struct fleet_lock **link = &lock->fleet->locks;
    while (*link != lock)
        link = &(*link)->next;
    *link = lock->next;
    if (lock->kept)
        lock->free_kept(lock->kept);
    free(lock->intent);
    free(lock);
}

static void close_unused(struct fleet_lock *lock)
{
    if (lock->users > 0 || lock->asking || is_owed(lock))
        return;
    if (lock->lease)
        fleet_end_lease(lock->fleet->store, lock->lease);
    unlink_lock(lock);
}

struct fleet_lock *lock_hold(struct fleet_lock *lock)
{
    if (lock)
        lock->users++;
    return lock;
}

void lock_release(struct fleet_lock *lock)
{
    if (!lock)
        return;
    lock->users--;
    close_unused(lock);
}

void lock_leave(struct operation *operation)
{
    struct fleet_lock *lock = operation->fleet_lock;
    operation->fleet_lock = NULL;
    lock_release(lock);
}

/* It is not got: those who wait go the way of WITH, and whoever wants it later begins anew. */
static void give_up(struct fleet_lock *lock, void (*with)(struct operation *operation, const void *what), const void *what)
{
    lock->lost = true;
    lock_hold(lock);
    each_waiting(lock, with, what);
    lock_release(lock);
}

static void give_up_for_memory(struct fleet_lock *lock)
{
    static const struct fleet_error error = {.number = ENOMEM, .text = "memory is short"};
    give_up(lock, fail, &error);
}

/* -- how it is got ------------------------------------------------------------------------- */

/* Who has it, as ENTRY says. */
static void tell_holder(struct fleet_lock *lock, const struct fleet_entry *entry)
{
    struct note_lock note;
    char *text;
    char host[FLEET_ID_SIZE + 64] = "(which is not told)";
    if (fleet_note_open(lock->fleet->key, lock->name, entry->value, entry->size, &text) == 0) {
        if (note_lock_take(text, &note) == 0)
            snprintf(host, sizeof(host), "%s%s", note.host,
                     strcmp(note.host, lock->fleet->host) == 0 ? " (this one, before its worker was replaced)" : "");
        OPENSSL_clear_free(text, strlen(text));
    }
    give_up(lock, give_way, host);
}

static unsigned int time_left(const struct fleet_lock *lock)
{
    int64_t left_ms = lock->until_ms - clock_monotonic_ms();
    return left_ms < 1 ? 1 : (unsigned int)left_ms;
}

static void committed(void *user, const struct fleet_error *error, bool done, int64_t revision, const struct fleet_entry *found)
{
    struct fleet_lock *lock = user;
    lock->asking = false;
    if (!error->number && !done && found->lease && found->lease == lock->lease_id) { /* sent twice: it was done at first */
        done = true;
        revision = found->mod_revision;
    }
    if (error->number) {
        give_up(lock, fail, error);
    } else if (!done) {
        tell_holder(lock, found);
    } else if (lock->lost) {
        close_unused(lock);
    } else {
        lock->mod_revision = revision;
        lock->step = LOCK_IS_HELD;
        lock_hold(lock);
        each_waiting(lock, go_on, NULL);
        lock_release(lock);
    }
}

static int close_note(const struct fleet_lock *lock, unsigned char **bytes, size_t *size)
{
    struct note_lock note = {.since = engine_now(lock->fleet->engine)};
    snprintf(note.host, sizeof(note.host), "%s", lock->fleet->host);
    snprintf(note.nonce, sizeof(note.nonce), "%s", lock->fleet->nonce);
    char *text = note_lock_put(&note);
    int r = text ? fleet_note_close(lock->fleet->key, lock->name, text, bytes, size) : -ENOMEM;
    free(text);
    return r;
}

static void granted(void *user, int64_t id)
{
    struct fleet_lock *lock = user;
    unsigned char *bytes = NULL;
    size_t size = 0;
    lock->lease_id = id;
    int r = close_note(lock, &bytes, &size);
    const struct fleet_commit commit = {
        .compares = &(struct fleet_compare){.key = lock->name, .what = FLEET_VERSION, .equals = 0},
        .compare_count = 1,
        .changes = &(struct fleet_change){.key = lock->name, .value = bytes, .size = size, .lease = id},
        .change_count = 1,
        .timeout_ms = time_left(lock),
        .ended = committed,
        .user = lock,
    };
    if (r == 0)
        r = fleet_commit(lock->fleet->store, &commit);
    OPENSSL_clear_free(bytes, size);
    if (r < 0) {
        give_up_for_memory(lock);
        return;
    }
    lock->step = LOCK_COMMITS;
    lock->asking = true;
}

static void lost(void *user, const struct fleet_error *error)
{
    struct fleet_lock *lock = user;
    if (lock->step == LOCK_IS_HELD) { /* whoever sends something looks before */
        lock->lost = true;
        close_unused(lock);
    } else {
        give_up(lock, fail, error);
    }
}

static void found(void *user, const struct fleet_entry *entry)
{
    struct fleet_lock *lock = user;
    if (!lock->lost)
        tell_holder(lock, entry);
}

static void looked(void *user, const struct fleet_error *error, int64_t revision)
{
    struct fleet_lock *lock = user;
    lock->asking = false;
    if (lock->lost) {
        close_unused(lock);
        return;
    }
    if (error->number) {
        give_up(lock, fail, error);
        return;
    }
    unsigned int least = 2 * lock->fleet->engine->parts.config->request_timeout_ms / 1000 + 2;
    lock->step = LOCK_LEASES;
    lock->lease = fleet_lease(lock->fleet->store, &(struct fleet_lease_wish){
        .ttl_s = least > LEASE_SECONDS ? least : LEASE_SECONDS,
        .timeout_ms = time_left(lock),
        .granted = granted,
        .lost = lost,
        .user = lock,
    });
    if (!lock->lease)
        give_up_for_memory(lock);
}

static void look(struct fleet_lock *lock)
{
    const struct fleet_get get = {
        .key = lock->name,
        .timeout_ms = time_left(lock),
        .found = found,
        .ended = looked,
        .user = lock,
    };
    lock->step = LOCK_LOOKS;
    lock->asking = true;
    if (fleet_get(lock->fleet->store, &get) < 0) {
        lock->asking = false;
        give_up_for_memory(lock);
    }
}

/* As soon as it is known what the fleet has: before that nobody knows what is to be made. */
static void begin(struct fleet_lock *lock)
{
    static const struct fleet_error late = {.number = ETIMEDOUT, .text = "what the fleet has is not known yet, see the log"};
    if (lock->fleet->stage == FLEET_REFUSED)
        give_up(lock, refuse, NULL);
    else if (lock->fleet->stage == FLEET_IS_LISTED)
        look(lock);
    else if (clock_monotonic_ms() >= lock->until_ms)
        give_up(lock, fail, &late);
}

/* -- its users ----------------------------------------------------------------------------- */

static struct fleet_lock *new_lock(struct operation *operation)
{
    struct fleet *fleet = operation->engine->fleet;
    struct fleet_name name = {.kind = FLEET_LOCK};
    struct fleet_lock *lock = calloc(1, sizeof(*lock));
    if (!lock)
        return NULL;
    _Static_assert(AAP_NAME_SIZE <= sizeof(name.aap), "it has room for an AAP's name");
    operation_aap_name(operation, name.aap);
    if (fleet_name_put(fleet->prefix, &name, lock->name) < 0) {
        free(lock);
        return NULL;
    }
    unsigned int left_ms = operation->automatic ? FLEET_TIMEOUT_MS : operation_time_left(operation);
    lock->fleet = fleet;
    lock->aap = operation->aap;
    lock->until_ms = clock_monotonic_ms() + (left_ms < FLEET_TIMEOUT_MS ? left_ms : FLEET_TIMEOUT_MS);
    lock->next = fleet->locks;
    fleet->locks = lock;
    return lock;
}

/* One that is lost is nobody's to join. */
static struct fleet_lock *find(const struct operation *operation)
{
    struct fleet_lock *lock = operation->engine->fleet->locks;
    while (lock && (lock->aap != operation->aap || lock->lost))
        lock = lock->next;
    return lock;
}

void lock_take(struct operation *operation, void (*then)(struct operation *operation))
{
    if (!operation->engine->fleet) {
        then(operation);
        return;
    }
    struct fleet_lock *lock = find(operation);
    bool is_new = !lock;
    if (is_new)
        lock = new_lock(operation);
    if (!lock) {
        operation_refuse(operation, ENOMEM, "Memory", "memory is short; nothing was sent");
        return;
    }
    operation->fleet_lock = lock_hold(lock);
    operation->fleet_then = then;
    if (lock->step == LOCK_IS_HELD) {
        then(operation);
        return;
    }
    operation_enter(operation, OPERATION_WAITS_FOR_FLEET);
    if (is_new)
        begin(lock);
}

bool lock_holds(const struct operation *operation, unsigned int ms)
{
    const struct fleet_lock *lock = operation->fleet_lock;
    if (!operation->engine->fleet)
        return true;
    return lock && lock->step == LOCK_IS_HELD && !lock->lost && fleet_lease_left_ms(lock->fleet->store, lock->lease) > ms;
}

void lock_compare(const struct operation *operation, struct fleet_compare *compare)
{
    const struct fleet_lock *lock = operation->fleet_lock;
    *compare = (struct fleet_compare){.key = lock->name, .what = FLEET_MOD_REVISION, .equals = lock->mod_revision};
}

void lock_keep(const struct operation *operation, void *kept, void (*free_kept)(void *kept))
{
    operation->fleet_lock->kept = kept;
    operation->fleet_lock->free_kept = free_kept;
}

char **lock_intent(const struct operation *operation)
{
    return operation->fleet_lock ? &operation->fleet_lock->intent : NULL;
}

static struct fleet_lock *find_untended(const struct fleet *fleet)
{
    struct fleet_lock *lock = fleet->locks;
    while (lock && lock->tended)
        lock = lock->next;
    return lock;
}

/* What ends with one may take others with it: none is held on to. */
void locks_tend(struct fleet *fleet)
{
    struct fleet_lock *lock;
    for (lock = fleet->locks; lock; lock = lock->next)
        lock->tended = false;
    while ((lock = find_untended(fleet))) {
        lock->tended = true;
        if (lock->users == 0) /* the fleet may have been told of its key */
            close_unused(lock);
        else if (lock->step == LOCK_WAITS && !lock->lost)
            begin(lock);
    }
}

int64_t locks_next_ms(const struct fleet *fleet)
{
    const struct fleet_lock *lock = fleet->locks;
    while (lock && (lock->step != LOCK_WAITS || lock->lost))
        lock = lock->next;
    return lock ? clock_monotonic_ms() + AGAIN_MS : INT64_MAX;
}

void locks_end(struct fleet *fleet)
{
    while (fleet->locks)
        unlink_lock(fleet->locks);
}
