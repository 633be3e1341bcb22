#include "fs/sync/doubts.h"

#include <stdlib.h>
#include <string.h>

#include "fs/base/nanoseconds.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/fleet/intents.h"
#include "kmsapi/iso_time.h"

enum { MISSES_ENOUGH = 2, ON_ITS_WAY_SECONDS = 60, RETRY_MS = 5000 };

struct left_intent {
    uint64_t number;
    char not_before[21], not_after[21];
    int64_t made;  /* KMS's time, seconds since 1970 */
    bool by_dates; /* aapfs chose them: they are a token */
    bool gone;     /* KMS made no key for it */
    unsigned int misses; /* listings in a row, late enough, that knew of none */
    bool has_others; /* the last listing, late enough, had unknown keys of other dates than its own alone */
    int64_t left;  /* when it was left, KMS's time */
    char orphan[CLIENT_KEY_ID_SIZE]; /* the key that KMS made for it; "": none that is known */
    bool unlisted; /* the last listing lacks the orphan: somebody has deleted it, or the listing is short */
    char *shared;  /* its name in the fleet; NULL: it does not stand there */
    bool elsewhere; /* another host's: it stands there alone */
    bool is_there; /* by the last look */
    struct left_intent *next;
};

/* Until then what a host asked for that has died may be on its way; other hosts' times are not known for certain. */
enum { LONG_AGO_SECONDS = 600 };

static void free_left(struct left_intent *left)
{
    free(left->shared);
    free(left);
}

/* The newest of AAP's; NULL: it has none. */
static struct left_intent *first_of(const struct engine *engine, uint32_t aap)
{
    const struct engine_aap *notes = engine_noted(engine, aap);
    return notes ? notes->left_intents : NULL;
}

static struct left_intent *add(struct engine *engine, uint32_t aap, const struct record *intent)
{
    struct engine_aap *notes = engine_aap(engine, aap);
    struct left_intent *left = notes ? calloc(1, sizeof(*left)) : NULL;
    if (!left)
        return NULL;
    *left = (struct left_intent){.number = intent->intent,
                                 .made = intent->made_ns / 1000000000,
                                 .left = intent->made_ns / 1000000000};
    left->by_dates = !intent->dates_given && intent->not_before[0];
    if (strlen(intent->not_before) < sizeof(left->not_before) && strlen(intent->not_after) < sizeof(left->not_after)) {
        strcpy(left->not_before, intent->not_before);
        strcpy(left->not_after, intent->not_after);
    }
    left->next = notes->left_intents;
    notes->left_intents = left;
    return left;
}

/* What came of it is not known before KMS has listed AAP's keys after WHEN_MS, CLOCK_MONOTONIC. */
static void want_listing(struct engine *engine, uint32_t aap, int64_t when_ms)
{
    struct engine_aap *notes = engine_noted(engine, aap);
    engine_want_listing(engine, aap, when_ms);
    if (when_ms > notes->unsettled_mono_ms)
        notes->unsettled_mono_ms = when_ms;
}

void doubts_add(struct engine *engine, uint32_t aap, const struct record *intent)
{
    if (!add(engine, aap, intent))
        return; /* it is on the disk, and settled at the next start */
    engine_want_listing(engine, aap, 1); /* at once */
    want_listing(engine, aap, clock_monotonic_ms());
}

void doubts_leave(struct operation *operation)
{
    struct engine *engine = operation->engine;
    char empty[] = "";
    const struct record intent = {
        .aap_name = empty,
        .not_before = operation->creation.not_before,
        .not_after = operation->creation.not_after,
        .made_ns = nanoseconds(operation->creation.made),
        .intent = operation->intent_number,
        .dates_given = operation->command.has_dates,
    };
    struct store_intent *left = operation->creation.intent;
    operation->creation.intent = NULL;
    doubts_add(engine, operation->aap, &intent);
    struct left_intent *newest = first_of(engine, operation->aap);
    char *shared = intents_leave(operation);
    if (newest && newest->number == operation->intent_number) {
        newest->left = engine_now(engine);
        newest->shared = shared;
    } else {
        free(shared);
    }
    store_leave(engine->store, left);
}

/* -- those of a fleet ---------------------------------------------------------------------- */

static struct left_intent *find_number(const struct engine *engine, uint32_t aap, uint64_t number)
{
    struct left_intent *left = first_of(engine, aap);
    while (left && left->number != number)
        left = left->next;
    return left;
}

/* Whether a key came of it that is here: the fleet has it, or is told of it. A rejected one's stands for an Orphan elsewhere. */
static bool has_come(struct engine *engine, uint32_t number, const struct fleet_intent *intent)
{
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    bool came = aap && registry_key_of_intent(aap, intent->record.intent);
    bool is_rejected = aap && registry_rejected_intent(aap, intent->record.intent);
    registry_unlock(engine->parts.registry);
    if (came)
        intents_remove(engine, intent->name);
    return came || is_rejected;
}

/* From now on it is one of AAP's. */
static struct left_intent *take_over(struct engine *engine, uint32_t aap, const struct fleet_intent *intent,
                                     unsigned int on_its_way_ms)
{
    int64_t now = engine_now(engine), when_ms = clock_monotonic_ms();
    struct left_intent *left = add(engine, aap, &intent->record);
    if (!left)
        return NULL;
    left->elsewhere = true;
    if (left->made >= now - LONG_AGO_SECONDS) {
        left->left = now + (on_its_way_ms + 999) / 1000;
        when_ms += on_its_way_ms;
    }
    want_listing(engine, aap, when_ms);
    return left;
}

static void forget_other(struct engine *engine, uint32_t number, struct left_intent *left)
{
    free(left->shared);
    left->shared = NULL;
    left->gone = true;
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    if (aap)
        registry_remove_id(&aap->orphans, left->orphan);
    registry_unlock(engine->parts.registry);
}

/* Other hosts' that do not stand in the fleet any more: what came of them is known there, or they have gone with an Orphan. */
static void forget_others(struct engine *engine, uint32_t aap)
{
    for (struct left_intent *left = first_of(engine, aap); left; left = left->next) {
        if (left->elsewhere && !left->is_there)
            forget_other(engine, aap, left);
        left->is_there = false;
    }
    doubts_drop(engine, aap);
}

const char *doubts_share(struct engine *engine, uint32_t aap, const struct fleet_intent *intents, unsigned int on_its_way_ms)
{
    const char *host = NULL;
    for (const struct fleet_intent *intent = intents; intent; intent = intent->next) {
        struct left_intent *left = find_number(engine, aap, intent->record.intent);
        if (!left && has_come(engine, aap, intent))
            continue;
        if (!left && !(left = take_over(engine, aap, intent, on_its_way_ms)))
            return intent->host;
        if (!left->shared)
            left->shared = strdup(intent->name);
        left->is_there = true;
        host = intent->host;
    }
    forget_others(engine, aap);
    return host && !doubts_are_asked(engine, aap) ? host : NULL;
}

/* -- what a listing says ------------------------------------------------------------------- */

/* A creation that is under way will tell of its key itself. */
static bool is_awaited(struct engine *engine, uint32_t aap, const struct kms_client_key *key)
{
    const struct operation *running = engine_aap(engine, aap)->running;
    return running && running->creation.intent && strcmp(running->creation.not_before, key->not_before) == 0 &&
           strcmp(running->creation.not_after, key->not_after) == 0;
}

static bool has_its_dates(const struct left_intent *left, const struct kms_client_key *key)
{
    return left->by_dates && strcmp(left->not_before, key->not_before) == 0 &&
           strcmp(left->not_after, key->not_after) == 0;
}

static bool was_made_since(const struct left_intent *left, const struct kms_client_key *key)
{
    int64_t created;
    /* a time that cannot be read excludes nothing */
    return iso_time_parse(key->create_time, strlen(key->create_time), &created) < 0 ||
           created >= left->made - ON_ITS_WAY_SECONDS;
}

/* The intent, of this AAP's, whose key it is. Two of one second, of a short validity, have the same dates: one each. */
static struct left_intent *find_by_dates(struct engine *engine, uint32_t aap, const struct kms_client_key *key)
{
    struct left_intent *found = NULL;
    for (struct left_intent *left = first_of(engine, aap); left; left = left->next) {
        if (!has_its_dates(left, key))
            continue;
        if (strcmp(left->orphan, key->client_key_id) == 0)
            return left;
        if (!left->orphan[0])
            found = left;
    }
    return found;
}

/* Orphans first: what has one is no reason for Candidates. */
static void find_orphans(struct engine *engine, struct registry_aap *aap, const struct kms_client_key *keys, size_t count)
{
    registry_clear_ids(&aap->orphans);
    registry_clear_ids(&aap->candidates);
    for (struct left_intent *left = first_of(engine, aap->number); left; left = left->next) {
        left->unlisted = true;
        left->gone = left->shared && left->orphan[0] && registry_has_private(aap, left->orphan); /* its host has brought it */
    }
    for (size_t i = 0; i < count; i++) {
        bool is_known = registry_has_private(aap, keys[i].client_key_id);
        struct left_intent *left = is_known ? NULL : find_by_dates(engine, aap->number, &keys[i]);
        if (!left || strlen(keys[i].client_key_id) >= sizeof(left->orphan))
            continue;
        strcpy(left->orphan, keys[i].client_key_id);
        left->unlisted = false;
    }
    /* one that was seen once stays until somebody deletes it: a listing may be short */
    for (const struct left_intent *left = first_of(engine, aap->number); left; left = left->next) {
        bool is_lost = left->orphan[0] && !left->gone;
        struct registry_id *orphan = is_lost ? registry_add_id(&aap->orphans, left->orphan, left->number) : NULL;
        if (orphan)
            orphan->unlisted = left->unlisted;
    }
}

/* Whether there are any for LEFT. */
static bool find_candidates(struct engine *engine, struct registry_aap *aap,
                            const struct left_intent *left, const struct kms_client_key *keys,
                            size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const char *id = keys[i].client_key_id;
        if (registry_has_private(aap, id) || registry_has_id(aap->orphans, id) ||
            is_awaited(engine, aap->number, &keys[i]) || !was_made_since(left, &keys[i]))
            continue;
        registry_add_id(&aap->candidates, id, left->number);
        any = true;
    }
    return any;
}

/* The outcome of each of the AAP's intents. */
int64_t doubts_take(struct engine *engine, struct registry_aap *aap, const struct kms_client_key *keys, size_t count)
{
    int64_t now = engine_now(engine), again_ms = 0;
    find_orphans(engine, aap, keys, count);
    for (struct left_intent *left = first_of(engine, aap->number); left; left = left->next) {
        if (left->orphan[0])
            continue;
        int64_t wait = left->left + ON_ITS_WAY_SECONDS - now;
        bool any = find_candidates(engine, aap, left, keys, count);
        left->misses = any || wait > 0 ? 0 : left->misses + 1;
        left->gone = left->misses >= MISSES_ENOUGH;
        left->has_others = any && wait <= 0 && left->by_dates;
        int64_t until_ms = clock_monotonic_ms() + (wait > 0 ? (wait + 1) * 1000 : RETRY_MS);
        bool again = wait > 0 || (left->misses && !left->gone);
        if (again && (!again_ms || until_ms < again_ms))
            again_ms = until_ms;
    }
    int64_t unsettled_ms = engine_noted(engine, aap->number) ? engine_noted(engine, aap->number)->unsettled_mono_ms : 0;
    if (unsettled_ms > clock_monotonic_ms() && (!again_ms || unsettled_ms < again_ms))
        again_ms = unsettled_ms;
    return again_ms;
}

/* Those that are gone leave the disk. */
void doubts_drop(struct engine *engine, uint32_t aap)
{
    struct engine_aap *notes = engine_noted(engine, aap);
    for (struct left_intent **link = notes ? &notes->left_intents : NULL; link && *link;) {
        struct left_intent *left = *link;
        if (!left->gone) {
            link = &left->next;
            continue;
        }
        if (!left->elsewhere)
            (void)store_forget(engine->store, left->number);
        if (left->shared)
            intents_remove(engine, left->shared);
        *link = left->next;
        free_left(left);
    }
}

bool doubts_have_intent(const struct engine *engine, uint32_t aap)
{
    return first_of(engine, aap);
}

void doubts_forget_aap(struct engine *engine, uint32_t aap)
{
    for (struct left_intent *left = first_of(engine, aap); left; left = left->next)
        left->gone = true;
    doubts_drop(engine, aap);
}

void doubts_forget(struct engine *engine, uint32_t aap, const char *client_key_id)
{
    struct left_intent *left = first_of(engine, aap);
    while (left && strcmp(left->orphan, client_key_id) != 0)
        left = left->next;
    if (!left)
        return;
    left->gone = true;
    doubts_drop(engine, aap);
}

unsigned int doubts_count_since(const struct engine *engine, uint32_t aap, int64_t since)
{
    unsigned int count = 0;
    for (const struct left_intent *left = first_of(engine, aap); left; left = left->next)
        count += left->made > since && !(left->orphan[0] && left->unlisted);
    return count;
}

bool doubts_are_asked(struct engine *engine, uint32_t aap)
{
    const struct engine_aap *notes = engine_aap(engine, aap);
    return notes && (notes->listing.listed_mono_ms >= notes->unsettled_mono_ms || notes->listing.refused_mono_ms >= notes->unsettled_mono_ms);
}

bool doubts_are_settled(const struct engine *engine, uint32_t aap)
{
    const struct left_intent *left = first_of(engine, aap);
    while (left && (left->orphan[0] || left->has_others))
        left = left->next;
    return !left;
}

void doubts_end(struct engine *engine)
{
    for (uint32_t aap = 1; aap < engine->aap_room; aap++)
        while (engine->aaps[aap] && engine->aaps[aap]->left_intents) {
            struct left_intent *left = engine->aaps[aap]->left_intents;
            engine->aaps[aap]->left_intents = left->next;
            free_left(left);
        }
}
