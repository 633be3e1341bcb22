#include "fs/upkeep/rotations.h"

#include <errno.h>
#include <string.h>

#include <openssl/rand.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/creation.h"
#include "fs/keys/password.h"
#include "fs/model/places.h"
#include "fs/model/schedule.h"
#include "fs/sync/account.h"
#include "fs/sync/doubts.h"
#include "fs/sync/ram_role.h"
#include "fs/upkeep/first_keys.h"

enum {
    UNPROVEN_MOST = 3,
    STALLED_MS = 10 * 60 * 1000,
    STALLED_MS_LEAST = 5000,
    /* after another host was first: its key is here long before that, else it may be this one's turn */
#ifdef AAPFS_WITH_STOPS
    YIELDED_MS = 1000,
#else
    YIELDED_MS = 10 * 1000,
#endif
};

/* A first key goes before the rotation of a key that has that long; one that has failed, and is tried once an hour, after all. */
enum { FIRST_KEY_SECONDS = 3600 };

/* Creations since the current key, and since somebody asked for one, that left a key of no use, or may have. */
static unsigned int unproven(const struct engine *engine, const struct registry_aap *aap)
{
    int64_t by_hand = engine_noted(engine, aap->number)->asked_by_hand;
    int64_t since = aap->current && aap->current->asked > by_hand ? aap->current->asked : by_hand;
    unsigned int count = doubts_count_since(engine, aap->number, since);
    for (const struct registry_id *id = aap->rejected; id; id = id->next)
        count += id->asked > since;
    for (const struct registry_key *key = aap->keys; key; key = key->next) { /* newest first */
        if (!key->deleted && !schedule_is_useless(aap, key))
            break;
        count += !key->deleted && key->asked > by_hand;
    }
    return count;
}

static uint32_t current_number(const struct registry_aap *aap)
{
    return aap->current ? aap->current->number : 0;
}

static void forget_failures(struct upkeep_notes *notes)
{
    notes->attempt_now = false;
    notes->failures = 0;
    notes->retry_boot_ms = 0;
}

/* What is known of the current key is forgotten with it. */
static void follow_key(const struct registry_aap *aap, struct upkeep_notes *notes)
{
    const struct registry_key *current = aap->current;
    if (current && notes->seed_key != current->number) {
        notes->seed = schedule_seed(aap->name, current->client_key_id);
        notes->seed_key = current->number;
    }
    if (notes->failed_key == current_number(aap))
        return;
    notes->failed_key = current_number(aap);
    notes->attempt_now = false;
    notes->yields_boot_ms = 0;
    if (!current || !schedule_is_useless(aap, current)) /* which mends nothing */
        forget_failures(notes);
}

static bool is_due(const struct registry_rotation *rotation, int64_t now)
{
    return rotation->first || (rotation->next && now >= rotation->next);
}

/* Whether it is due and for long cannot be begun, which no failed attempt tells. */
static bool is_stalled(const struct engine *engine, const struct registry_aap *aap, struct upkeep_notes *notes,
                       const struct registry_rotation *rotation)
{
    int64_t now_ms = clock_boottime_ms();
    int64_t tenth_ms = rotation->first ? STALLED_MS : (aap->current->not_after_time - rotation->next) * 100;
    int64_t patience_ms = tenth_ms < STALLED_MS_LEAST ? STALLED_MS_LEAST : tenth_ms < STALLED_MS ? tenth_ms : STALLED_MS;
    if (engine_noted(engine, aap->number)->running && !notes->yields_boot_ms) {
        notes->stalls_boot_ms = 0;
        return false;
    }
    if (notes->yields_boot_ms)
        notes->stalls_boot_ms = notes->yields_boot_ms + patience_ms;
    if (notes->stalls_boot_ms == 0)
        notes->stalls_boot_ms = now_ms + patience_ms;
    return now_ms >= notes->stalls_boot_ms;
}

static const char *why_stalled(struct engine *engine, const struct registry_aap *aap)
{
    if (!account_may_send(engine))
        return "KMS has not told whose account this is, see .aapfs/last_error";
    if (!clock_is_sure(&engine->clock))
        return "KMS's time is in doubt";
    const char *first = aap->rotation.first ? first_keys_wait_for(engine, aap->number) : NULL;
    if (first)
        return first;
    if (!doubts_are_asked(engine, aap->number))
        return "what came of an earlier creation is not known, since KMS does not list this AAP's keys";
    if (!engine_is_caught_up(engine, aap->number))
        return "the mount's publisher does not answer";
    if (aap->rotation.first && aap->rotation.no_place)
        return "there is no place for it, see Note in status";
    if (engine_noted(engine, aap->number)->upkeep.yields_boot_ms)
        return "another host of the fleet has the AAP's lock, or has made a key that does not come here";
    return "others are more urgent, see requests_per_second in aapfs.conf(5)";
}

/* A rotation that cannot even be begun is a failure like another: with the registry's lock. */
static void note_stall(struct engine *engine, struct registry_aap *aap)
{
    const struct kms_error error =
        kms_error_make("", EAGAIN, "Waiting", "the %s cannot be begun: %s",
                       aap->rotation.first ? "creation of the first key" : "rotation that is due", why_stalled(engine, aap));
    failure_set(&aap->failure, FAILURE_CREATION, &error, engine_now(engine));
}

/*
 * Whether creations have failed so often that no more is made. Not where the next one would first free a place: that
 * leaves no more keys than there are. But where KMS makes keys that are to be replaced at once, each would take the place of
 * an earlier one for ever: none that may be of use is deleted for another one. A first key has nothing to replace: where
 * three came to nothing, nothing is deleted for a fourth.
 */
static bool is_blocked(const struct engine *engine, const struct registry_aap *aap, int64_t now)
{
    struct places places;
    places_look(aap, now, true, &places);
    unsigned int most = places_most(&places, aap, engine->fleet);
    bool frees = aap->current && places.filled >= most && places_are_enough(&places, most);
    if (frees)
        return places.first.kind == PLACE_SUPERSEDED && schedule_is_useless(aap, aap->current);
    return unproven(engine, aap) >= UNPROVEN_MOST;
}

/* Not where a Scheduled key takes over before: that rotation does not come, and its own is another matter. */
static bool has_no_place(const struct engine *engine, const struct registry_aap *aap, const struct registry_rotation *rotation, int64_t now)
{
    int64_t begins = schedule_next_begin(aap, now);
    if (!rotation->first && (rotation->next == 0 || (begins && begins <= rotation->next)))
        return false;
    return !places_allow_rotation(aap, now < rotation->next ? rotation->next : now, engine->fleet);
}

static enum rotation_state state_of(const struct engine *engine, const struct registry_aap *aap, struct upkeep_notes *notes,
                                    const struct registry_rotation *rotation, int64_t now)
{
    bool due = is_due(rotation, now), blocked = due && is_blocked(engine, aap, now);
    bool fails = due && !blocked && (notes->failures > 0 || is_stalled(engine, aap, notes, rotation));
    if (!due || blocked)
        notes->stalls_boot_ms = 0;
    if (!due)
        return rotation->next ? ROTATION_PLANNED : ROTATION_NONE;
    return blocked ? ROTATION_BLOCKED : fails ? ROTATION_FAILING : ROTATION_DUE;
}

/* With the registry's lock. */
static void fill(struct engine *engine, struct registry_aap *aap, struct upkeep_notes *notes, int64_t now)
{
    struct registry_rotation rotation = {.first = first_keys_are_wanted(engine, aap)};
    if (rotation.first || (aap->current && !aap->ram_role)) {
        follow_key(aap, notes);
        if (!engine->foreign_state)
            rotation.next = schedule_due(aap, notes->seed);
        rotation.no_place = has_no_place(engine, aap, &rotation, now);
        rotation.state = state_of(engine, aap, notes, &rotation, now);
    } else if (!aap->current) {
        forget_failures(notes);
        notes->stalls_boot_ms = 0;
    }
    aap->rotation = rotation;
}

static void sooner_at(int64_t *wait_ms, int64_t at, int64_t now)
{
    if (at > now && at - now < *wait_ms / 1000)
        *wait_ms = (at - now) * 1000;
}

/* A key that expires leaves its place. */
static void sooner_by_keys(const struct registry_aap *aap, int64_t now, int64_t *wait_ms)
{
    for (const struct registry_key *key = aap->keys; key; key = key->next)
        sooner_at(wait_ms, key->not_after_time, now);
    for (const struct registry_key *key = aap->foreign; key; key = key->next)
        sooner_at(wait_ms, key->not_after_time, now);
    for (const struct registry_id *id = aap->rejected; id; id = id->next)
        sooner_at(wait_ms, id->not_after, now);
}

/* The one that is due at the earliest goes out first. */
static int64_t urgency(const struct registry_aap *aap, const struct upkeep_notes *notes, int64_t now)
{
    if (aap->current)
        return aap->current->not_after_time;
    return notes->failures ? INT64_MAX - 2 : now + FIRST_KEY_SECONDS;
}

/* Whether it may be begun; else *WAIT_MS is when that may change by itself. */
static bool is_ready(struct engine *engine, const struct registry_aap *aap, int64_t now, int64_t *wait_ms)
{
    const struct engine_aap *notes = engine_noted(engine, aap->number);
    const struct registry_rotation *rotation = &aap->rotation;
    if (rotation->state < ROTATION_DUE) {
        sooner_at(wait_ms, rotation->next, now);
        return false;
    }
    int64_t stalls_ms = notes->upkeep.stalls_boot_ms - clock_boottime_ms();
    if (notes->upkeep.stalls_boot_ms && stalls_ms > 0 && stalls_ms < *wait_ms)
        *wait_ms = stalls_ms;
    if (notes->running || !engine_is_caught_up(engine, aap->number) || !doubts_are_asked(engine, aap->number) ||
        (rotation->first && first_keys_wait_for(engine, aap->number)))
        return false;
    if (notes->upkeep.attempt_now)
        return true;
    if (rotation->state == ROTATION_BLOCKED || (rotation->first && rotation->no_place)) /* which listings tell */
        return false;
    /* one in that second would not count */
    int64_t left_ms = now > notes->asked_by_hand ? notes->upkeep.retry_boot_ms - clock_boottime_ms() : 1000;
    if (left_ms > 0 && left_ms < *wait_ms)
        *wait_ms = left_ms;
    return left_ms <= 0;
}

int64_t rotations_look(struct engine *engine, uint32_t number, bool *ready, int64_t *end)
{
    struct upkeep_notes *notes = &engine_aap(engine, number)->upkeep;
    int64_t now = engine_now(engine), wait_ms = INT64_MAX;
    char aap_name[AAP_NAME_SIZE];
    registry_lock(engine->parts.registry);
    struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    bool was_blocked = aap->rotation.state == ROTATION_BLOCKED;
    fill(engine, aap, notes, now);
    *ready = is_ready(engine, aap, now, &wait_ms);
    sooner_by_keys(aap, now, &wait_ms);
    *end = urgency(aap, notes, now);
    bool tell = aap->rotation.state == ROTATION_BLOCKED && !was_blocked;
    bool stalled = aap->rotation.state == ROTATION_FAILING && notes->failures == 0, tell_stall = stalled && !notes->was_stalled;
    notes->was_stalled = stalled;
    if (tell_stall)
        note_stall(engine, aap);
    struct registry_failure failure = aap->failure;
    memcpy(aap_name, aap->name, sizeof(aap_name));
    registry_unlock(engine->parts.registry);
    if (tell)
        log_error("%s: %d client keys in a row could not be used, or it is not known what became of them; no more is made "
                  "by itself: look at last_error, and Rejected, Orphans and Candidates in status, mend the cause, then "
                  "write rotate or a password to %s/control", aap_name, UNPROVEN_MOST, aap_name);
    if (tell_stall)
        log_warning("%s: %s", aap_name, failure.error.message);
    return wait_ms;
}

static void chosen(struct operation *operation, int result, const char *reason)
{
    if (result < 0)
        operation_refuse(operation, EINVAL, "PasswordSource", "%s; nothing was sent", reason);
    else
        creation_begin(operation);
}

void rotations_create(struct operation *operation)
{
    struct engine *engine = operation->engine;
    char aap_name[AAP_NAME_SIZE], id[CLIENT_KEY_ID_SIZE] = "";
    if (ram_role_refuses(operation))
        return;
    const struct config_aap *config = operation_aap_name(operation, aap_name);
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    if (aap->current)
        memcpy(id, aap->keys->client_key_id, sizeof(id)); /* the newest record */
    registry_unlock(engine->parts.registry);

    operation->is_first = !id[0];
    if (!id[0] && config->first_key == FIRST_KEY_BY_HAND)
        operation_refuse(operation, ENOENT, "NoKey", "there is no key to rotate; write a password");
    else
        password_choose(operation, aap_name, config, id, chosen);
}

void rotations_begin(struct engine *engine, uint32_t number)
{
    struct operation *operation = operation_new_automatic(engine, number, CONTROL_ROTATE);
    struct engine_aap *notes = engine_aap(engine, number);
    if (!operation) {
        notes->upkeep.retry_boot_ms = clock_boottime_ms() + 1000;
        return;
    }
    notes->upkeep.attempt_now = false;
    notes->upkeep.stalls_boot_ms = 0;
    registry_lock(engine->parts.registry);
    operation_take_aap(operation);
    registry_unlock(engine->parts.registry);
    rotations_create(operation);
}

/* Another host is at it, or was: that is no failure, unless it goes on for long. Hosts come again at different times. */
static void yielded(struct upkeep_notes *notes, uint32_t random)
{
    int64_t now_ms = clock_boottime_ms();
    if (notes->yields_boot_ms == 0)
        notes->yields_boot_ms = now_ms;
    notes->retry_boot_ms = now_ms + YIELDED_MS + (int64_t)((uint64_t)YIELDED_MS * random >> 32);
}

void rotations_ended(struct operation *operation, int result)
{
    struct engine *engine = operation->engine;
    struct upkeep_notes *notes = &engine_aap(engine, operation->aap)->upkeep;
    uint32_t random = 0;
    if (result == 0 || (operation->generation && !operation->creation.of_no_use)) /* the key that it brought is the current one */
        return;
    (void)RAND_bytes((unsigned char *)&random, sizeof(random));
    if (operation->yields) {
        yielded(notes, random);
        return;
    }
    notes->yields_boot_ms = 0;
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    int64_t left = aap->current ? aap->current->not_after_time - engine_now(engine) : INT64_MAX;
    notes->failed_key = current_number(aap);
    bool first = notes->failures++ == 0;
    struct registry_failure failure = aap->failure;
    char aap_name[AAP_NAME_SIZE];
    memcpy(aap_name, aap->name, sizeof(aap_name));
    registry_unlock(engine->parts.registry);
    notes->retry_boot_ms = clock_boottime_ms() + schedule_retry_ms(notes->failures, left, random);
    if (first)
        log_warning("%s: the %s failed: %s: %s; it is tried again, see status and last_error", aap_name,
                    operation->is_first ? "creation of the first key" : "rotation that is due", failure.error.code,
                    failure.error.message);
}

void rotations_attempt_due(struct engine *engine)
{
    int64_t now = engine_now(engine);
    registry_lock(engine->parts.registry);
    for (const struct registry_aap *aap = registry_first_aap(engine->parts.registry); aap; aap = aap->next) {
        int64_t at = schedule_rotate_at(aap);
        const struct registry_rotation *rotation = &aap->rotation;
        struct engine_aap *notes = engine_aap(engine, aap->number);
        if (!notes || !((at && now >= at) || rotation->state >= ROTATION_DUE))
            continue;
        notes->upkeep.attempt_now = true;
        engine_wake(engine, aap->number);
    }
    registry_unlock(engine->parts.registry);
}
