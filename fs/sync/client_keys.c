#include "fs/sync/client_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/applications/notified.h"
#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/sync/account.h"
#include "fs/sync/doubts.h"
#include "fs/sync/foreign_keys.h"
#include "fs/sync/gone.h"
#include "fs/sync/listed_ids.h"
#include "fs/sync/listing_failure.h"
#include "fs/sync/ram_role.h"
#include "kmsapi/cleanup.h"

/* The AAP under way, and what is due. */
struct listing {
    const struct client_keys_walker *walker;
    size_t walk_left;  /* AAPs that the last walk still has to list */
    size_t unanswered; /* AAPs of which the last listing failed, and not because it is not permitted */

    uint32_t aap;     /* 0: none is under way */
    bool of_walk;     /* for the walk, which may have begun anew since */
    bool awaited;     /* the AAP's operation waited for it when it began */
    bool waits;       /* a request or a publication is under way */
    void (*step)(struct engine *engine); /* what is next */
    bool described;   /* KMS was asked for the AAP itself */
    int64_t asked_ms;
    unsigned int operations; /* engine_aap's, when it was asked */
    int64_t again_ms; /* doubts.c wants another look; 0: no */

    /* keys whose private half is here and that were not listed: asked for one by one */
    char (*missing)[CLIENT_KEY_ID_SIZE];
    size_t missing_count, missing_next;
    bool contradicted; /* one of them is there all the same */
    struct kms_error failed; /* the first failure of these requests */
};

enum { STALE_RETRY_MS = 1000 };

/* -- what is due --------------------------------------------------------------------------- */

void client_keys_walk(struct engine *engine)
{
    struct listing *listing = engine->listing;
    listing->walk_left = 0;
    listing->of_walk = false;
    int64_t now_ms = clock_monotonic_ms(); /* what the walk before has left comes first */
    registry_lock(engine->parts.registry);
    for (const struct registry_aap *aap = registry_first_aap(engine->parts.registry); aap; aap = aap->next) {
        struct engine_aap *notes = engine_aap(engine, aap->number);
        if (!notes)
            continue;
        notes->listing.of_walk = true;
        notes->listing.failures = 0;
        engine_want_listing(engine, aap->number, now_ms);
        listing->walk_left++;
    }
    registry_unlock(engine->parts.registry);
    if (listing->walk_left == 0)
        engine->listing->walker->ended(engine);
}

static void leave_walk(struct engine *engine)
{
    if (--engine->listing->walk_left == 0)
        engine->listing->walker->ended(engine);
}

static void set_unanswered(struct engine *engine, struct engine_aap *notes, bool unanswered)
{
    engine->listing->unanswered += (size_t)unanswered - (size_t)notes->listing.unanswered;
    notes->listing.unanswered = unanswered;
}

void client_keys_forget(struct engine *engine, uint32_t aap)
{
    struct engine_aap *notes = engine_aap(engine, aap);
    if (!notes)
        return;
    due_at(&engine->listings, &notes->listing.due, INT64_MAX);
    notes->listing.missing = false;
    notes->listing.listed_mono_ms = notes->listing.refused_mono_ms = 0; /* one of that name that comes later is another one */
    set_unanswered(engine, notes, false);
    if (notes->listing.of_walk) {
        notes->listing.of_walk = false;
        leave_walk(engine);
    }
}

/* -- the AAP under way --------------------------------------------------------------------- */

static struct registry_aap *its_aap(struct engine *engine)
{
    return registry_aap(engine->parts.registry, engine->listing->aap);
}

static void clear_work(struct listing *listing)
{
    free(listing->missing);
    listing->missing = NULL;
    listing->missing_count = listing->missing_next = 0;
}

/* The AAP's turn is over. ERROR NULL: well. */
static void end_turn(struct engine *engine, const struct kms_error *error)
{
    static const struct kms_error none;
    struct listing *listing = engine->listing;
    struct engine_aap *notes = engine_aap(engine, listing->aap);
    listing_failure_note(engine, listing->aap, error ? error : &none);
    if (engine_has_aap(engine, listing->aap)) /* whoever waits for it sees what it says of the places */
        engine->aap_changed(engine, listing->aap);
    engine_wake(engine, listing->aap); /* what waited for this may go out */
    if (error)
        engine_want_listing(engine, listing->aap,
                            clock_monotonic_ms() + listing_failure_wait_ms(engine, listing->aap, notes->listing.failures++));
    else
        notes->listing.failures = 0;
    if (!error && listing->again_ms)
        engine_want_listing(engine, listing->aap, listing->again_ms);
    clear_work(listing);
    uint32_t aap = listing->aap;
    listing->aap = 0;
    listing->waits = false;
    set_unanswered(engine, notes, error && !kms_error_is_forbidden(error->code, error->http_status));
    if (!listing->of_walk)
        listing->walker->answered(engine);
    else if (error)
        listing->walker->failed(engine, error);
    if (listing->of_walk)
        leave_walk(engine);
    if (listing->awaited)
        operation_listed(engine, aap, error);
}

/* The AAP has left meanwhile: its turn is over. */
static bool left(struct engine *engine)
{
    bool there = engine_has_aap(engine, engine->listing->aap);
    if (!there)
        end_turn(engine, NULL);
    return !there;
}

static void end_in_short_memory(struct engine *engine)
{
    static const struct kms_error error = {.number = ENOMEM, .code = "Memory", .message = "memory is short"};
    end_turn(engine, &error);
}

/* A request of the turn was begun, or could not be. */
static void wait_for(struct engine *engine, int r)
{
    engine->listing->waits = r == 0;
    if (r < 0)
        end_in_short_memory(engine);
}

static unsigned int timeout_ms(const struct engine *engine)
{
    return engine->parts.config->request_timeout_ms;
}

static void list(struct engine *engine);

/* -- whether KMS has the AAP --------------------------------------------------------------- */

static void note_method(struct engine *engine, const struct kms_aap *aap)
{
    registry_lock(engine->parts.registry);
    if (aap)
        ram_role_note(its_aap(engine), aap->authentication_method);
    registry_unlock(engine->parts.registry);
}

static void described(void *user, const struct kms_answer *answer, const struct kms_aap *aap)
{
    struct engine *engine = user;
    struct listing *listing = engine->listing;
    engine_observe(engine, answer);
    listing->waits = false;
    listing->described = true;
    if (left(engine))
        return;
    /* one that is named in the configuration; of one that a listing lacks it is not known whether KMS has it */
    if (!engine->parts.config->all_aaps && kms_error_is_forbidden(answer->error.code, answer->error.http_status)) {
        listing->step = list;
        return;
    }
    if (answer->error.number && !kms_error_is_gone(&answer->error)) {
        end_turn(engine, &answer->error);
        return;
    }
    gone_note_aap(engine, listing->aap, answer->error.number != 0);
    note_method(engine, aap);
    if (answer->error.number) {
        end_turn(engine, NULL);
        return;
    }
    engine_aap(engine, listing->aap)->listing.missing = false;
    listing->step = list;
}

static void describe(struct engine *engine)
{
    char aap_name[AAP_NAME_SIZE];
    registry_lock(engine->parts.registry);
    memcpy(aap_name, its_aap(engine)->name, sizeof(aap_name));
    registry_unlock(engine->parts.registry);
    wait_for(engine, kms_describe_application_access_point(engine->parts.transport, aap_name, timeout_ms(engine),
                                                           described, engine));
}

/* -- whether KMS has the keys that it did not list ----------------------------------------- */

static const struct kms_error incomplete = {
    .number = EIO, .code = "Answer.Incomplete", .message = "KMS's listing lacks client keys that KMS has"};

/* What expired before it went is another matter than what was taken away. */
static const struct kms_error in_doubt = {
    .number = EAGAIN, .code = "Waiting", .message = "KMS's time is in doubt: whether a key had expired before it went"};

static void get_next(struct engine *engine);

static void got(void *user, const struct kms_answer *answer, const struct kms_client_key *key)
{
    struct engine *engine = user;
    struct listing *listing = engine->listing;
    const char *asked = listing->missing[listing->missing_next++];
    engine_observe(engine, answer);
    listing->waits = false;
    if (left(engine))
        return;
    if (kms_error_is_gone(&answer->error) && clock_is_sure(&engine->clock))
        gone_note_key(engine, listing->aap, asked);
    else if (kms_error_is_gone(&answer->error) && listing->failed.number == 0)
        listing->failed = in_doubt;
    else if (answer->error.number == 0)
        listing->contradicted = true;
    else if (listing->failed.number == 0)
        listing->failed = answer->error;
    if (listing->missing_next < listing->missing_count)
        return;
    if (listing->failed.number)
        end_turn(engine, &listing->failed);
    else if (listing->contradicted)
        end_turn(engine, &incomplete);
    else
        listing->step = list; /* what it lacks is known by now: the rest can be believed */
}

static void get_next(struct engine *engine)
{
    const struct listing *listing = engine->listing;
    wait_for(engine, kms_get_client_key(engine->parts.transport, listing->missing[listing->missing_next],
                                        timeout_ms(engine), got, engine));
}

/* Which keys of the registry were listed; those that were not are noted. With the registry's lock. False: no memory. */
static bool compare(struct engine *engine, struct registry_aap *aap, const struct listed_ids *listed)
{
    struct listing *listing = engine->listing;
    size_t count = 0;
    for (struct registry_key *key = aap->keys; key; key = key->next) {
        if (!listed_ids_have(listed, key->client_key_id)) {
            count += !key->gone && !key->deleted;
        } else if (key->gone) {
            key->gone = key->gone_expired = false;
            notified_changed(engine, aap->number);
        }
    }
    if (count == 0)
        return true;
    listing->missing = calloc(count, sizeof(*listing->missing));
    for (const struct registry_key *key = aap->keys; listing->missing && key; key = key->next)
        if (!key->gone && !key->deleted && !listed_ids_have(listed, key->client_key_id))
            memcpy(listing->missing[listing->missing_count++], key->client_key_id, sizeof(*listing->missing));
    return listing->missing != NULL;
}

/* -- the listing --------------------------------------------------------------------------- */

/* Of keys that are of no use KMS is not asked one by one. */
static void mark_unlisted(struct registry_aap *aap, const struct listed_ids *listed)
{
    for (struct registry_id *id = aap->rejected; id; id = id->next)
        id->unlisted = !listed_ids_have(listed, id->client_key_id);
}

static void published(struct engine *engine, int result)
{
    struct kms_error error = {.number = -result, .code = "Publication",
                              .message = "the mount's publisher does not answer"};
    end_turn(engine, result < 0 ? &error : NULL);
}

static void take(struct engine *engine, const struct kms_client_key *keys, size_t count, const struct listed_ids *listed)
{
    struct listing *listing = engine->listing;
    struct engine_aap *notes = engine_aap(engine, listing->aap);
    /* it may be from before or after what a command did meanwhile */
    bool waits = listing->awaited && operation_waits_for_listing(notes->running); /* and does nothing else */
    bool stale = (notes->running && !waits) || notes->operations != listing->operations;
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = its_aap(engine);
    bool good = stale || compare(engine, aap, listed);
    /* one that lacks keys that are here says nothing about the others */
    bool believed = good && listing->missing_count == 0;
    listing->again_ms = believed ? doubts_take(engine, aap, keys, count) : 0;
    if (believed && !stale)
        mark_unlisted(aap, listed);
    aap->cannot_settle = false;
    notes->listing.refused_mono_ms = 0;
    registry_unlock(engine->parts.registry);
    if (!good) {
        end_in_short_memory(engine);
        return;
    }
    if (!believed) {
        listing->contradicted = false;
        listing->failed = (struct kms_error){0};
        listing->step = get_next;
        return;
    }
    notes->listing.listed_mono_ms = listing->asked_ms;
    doubts_drop(engine, listing->aap);
    if (stale) {
        if (!listing->again_ms)
            listing->again_ms = clock_monotonic_ms() + STALE_RETRY_MS;
        end_turn(engine, NULL);
        return;
    }
    listing->waits = true;
    foreign_keys_show(engine, listing->aap, keys, count, listed, published);
}

static void listed(void *user, const struct kms_answer *answer, const struct kms_client_key *keys, size_t count)
{
    struct engine *engine = user;
    struct listing *listing = engine->listing;
    struct listed_ids ids;
    engine_observe(engine, answer);
    listing->waits = false;
    clear_work(listing);
    if (left(engine))
        return;
    if (answer->error.number == ENOENT && !listing->described) {
        listing->step = describe;
    } else if (answer->error.number) {
        if (kms_error_is_forbidden(answer->error.code, answer->error.http_status))
            listing_failure_forbidden(engine, listing->aap, listing->asked_ms, &answer->error);
        end_turn(engine, &answer->error);
    } else if (!listed_ids_sort(&ids, keys, count)) {
        end_in_short_memory(engine);
    } else {
        take(engine, keys, count, &ids);
        free(ids.ids);
    }
}

static void list(struct engine *engine)
{
    struct listing *listing = engine->listing;
    char aap_name[AAP_NAME_SIZE];
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = its_aap(engine);
    bool has_none = aap->ram_role && !aap->keys && !aap->foreign && !doubts_have_intent(engine, listing->aap);
    memcpy(aap_name, aap->name, sizeof(aap_name));
    registry_unlock(engine->parts.registry);
    if (has_none) {
        end_turn(engine, NULL);
        return;
    }
    listing->asked_ms = clock_monotonic_ms();
    listing->operations = engine_aap(engine, listing->aap)->operations;
    wait_for(engine, kms_list_client_keys(engine->parts.transport, aap_name, timeout_ms(engine), listed, engine));
}

/* -- turns --------------------------------------------------------------------------------- */

/* The operation that waits for a listing; NULL: none does. */
static const struct operation *find_waiting(const struct engine *engine)
{
    const struct operation *operation = engine->in_stage[OPERATION_WAITS_FOR_LISTING] ? engine->operations : NULL;
    while (operation && !operation_waits_for_listing(operation))
        operation = operation->next;
    return operation;
}

static void begin_turn(struct engine *engine, uint32_t aap)
{
    struct listing *listing = engine->listing;
    struct engine_aap *notes = engine_aap(engine, aap);
    listing->aap = aap;
    listing->of_walk = notes->listing.of_walk;
    listing->awaited = operation_waits_for_listing(notes->running);
    listing->described = false;
    listing->again_ms = 0;
    listing->step = notes->listing.missing ? describe : list;
    notes->listing.of_walk = false;
    due_at(&engine->listings, &notes->listing.due, INT64_MAX);
}

int64_t client_keys_tend(struct engine *engine)
{
    struct listing *listing = engine->listing;
    unsigned int per_second = engine->parts.config->requests_per_second;
    /* another account's listing says nothing about ours */
    const struct operation *waiting = find_waiting(engine);
    if (!account_may_send(engine) || (engine->draining && !waiting) || listing->waits)
        return INT64_MAX;
    while (listing->aap == 0) {
        waiting = find_waiting(engine);
        uint32_t aap = waiting ? waiting->aap : due_take(&engine->listings, clock_monotonic_ms());
        if (aap == 0)
            return due_when(&engine->listings);
        if (engine_has_aap(engine, aap)) {
            begin_turn(engine, aap);
        } else {
            client_keys_forget(engine, aap);
            operation_listed(engine, aap, NULL);
        }
    }
    if (left(engine))
        return 0;
    int64_t now_ms = clock_monotonic_ms();
    bool hurry = listing->walker->is_awaited(engine) || operation_is_awaited(waiting);
    if (!hurry && !pace_take(&engine->pace, per_second, now_ms))
        return pace_next_ms(&engine->pace, per_second);
    listing->step(engine);
    return listing->waits ? INT64_MAX : 0;
}

bool client_keys_start(struct engine *engine, const struct client_keys_walker *walker)
{
    engine->listing = calloc(1, sizeof(*engine->listing));
    if (engine->listing)
        engine->listing->walker = walker;
    return engine->listing;
}

bool client_keys_have_all(const struct engine *engine)
{
    return engine->listing->unanswered == 0;
}

bool client_keys_is_of(const struct engine *engine, uint32_t aap)
{
    return engine->listing->aap == aap;
}

bool client_keys_are_walking(const struct engine *engine)
{
    return engine->listing->walk_left > 0;
}

void client_keys_end(struct engine *engine)
{
    if (engine->listing)
        clear_work(engine->listing);
    free(engine->listing);
}
