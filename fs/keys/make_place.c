#include "fs/keys/make_place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/deletion.h"
#include "fs/model/places.h"
#include "fs/sync/account.h"

/* Listings in a row that fail before a creation goes by what is known. */
enum { LISTINGS_FAILED = 8 };

enum { WHY_SIZE = 160, REST_SIZE = 512 - WHY_SIZE - 12 };

/* With the registry's lock: what fills the places, and how many there are. */
static unsigned int look(const struct operation *operation, struct places *places)
{
    const struct engine *engine = operation->engine;
    const struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    /* while KMS's time is in doubt nothing counts as expired */
    places_look(aap, clock_is_sure(&engine->clock) ? engine_now(engine) : 0, operation->automatic, places);
    if (engine->foreign_state) /* another machine may go on with the same keys */
        places->freeable = 0;
    return operation->place.quota_error.number ? operation->place.most : places_most(places, aap, engine->fleet);
}

/*
 * KMS has refused one more than what it lists now. False: that is not for want of a place, for it lists fewer than it
 * gives: there are other limits. Where it does not list (LISTED), keys made elsewhere may fill the others: its word is taken
 * as far as a place can be freed.
 */
static bool learn_quota(struct operation *operation, bool listed)
{
    struct places places;
    registry_lock(operation->engine->parts.registry);
    unsigned int most = registry_aap(operation->engine->parts.registry, operation->aap)->config->max_keys;
    (void)look(operation, &places);
    operation->place.most = places.filled < most ? places.filled : most;
    registry_unlock(operation->engine->parts.registry);
    return places.filled >= most || places.filled == CONFIG_QUOTA_KEYS || (!listed && places.freeable > 0);
}

/* WHY: what freeing one failed with; NULL: none may be. */
static void refuse(struct operation *operation, const char *why)
{
    struct engine *engine = operation->engine;
    struct kms_error error = operation->place.quota_error; /* KMS's own word, where it has spoken */
    char text[PLACES_TEXT_SIZE];
    struct places places;
    registry_lock(engine->parts.registry);
    unsigned int most = look(operation, &places);
    places_tell(&places, most, engine_now(engine), text, why ? (size_t)REST_SIZE : sizeof(text));
    registry_unlock(engine->parts.registry);
    error.number = EDQUOT;
    if (!error.code[0])
        strcpy(error.code, "MaxKeys");
    if (why)
        snprintf(error.message, sizeof(error.message), "no place: %.*s; %.*s", WHY_SIZE - 1, why, (int)REST_SIZE, text);
    else
        snprintf(error.message, sizeof(error.message), "no place: %s", text);
    operation_fail(operation, &error);
}

/* For the log: what the deletion is by. */
static const char *const freed_by[PLACE_KINDS] = {
    [PLACE_EXPIRED] = "max_keys (made here, expired)",
    [PLACE_CURRENT_EXPIRED] = "max_keys (made here, current, expired)",
    [PLACE_ORPHAN] = "max_keys (made here, lost)",
    [PLACE_SUPERSEDED] = "max_keys (made here, superseded)",
};

static void free_one(struct operation *operation, const struct place *place)
{
    struct engine *engine = operation->engine;
    struct operation *deletion = operation_new_automatic(engine, operation->aap, CONTROL_DELETE);
    if (!deletion) {
        operation_refuse(operation, ENOMEM, "Memory", "memory is short; nothing was sent");
        return;
    }
    (void)pace_take(&engine->pace, engine->parts.config->requests_per_second, clock_monotonic_ms()); /* it never waits */
    snprintf(deletion->command.client_key_id, sizeof(deletion->command.client_key_id), "%s", place->client_key_id);
    snprintf(operation->place.freed_id, sizeof(operation->place.freed_id), "%s", place->client_key_id);
    deletion->by = freed_by[place->kind];
    operation_enter(operation, OPERATION_WAITS_FOR_DELETION);
    engine_aap(engine, operation->aap)->upkeep.deleting = deletion;
    deletion_begin(deletion);
}

static void listed(struct operation *operation, const struct kms_error *error);

static void list(struct operation *operation)
{
    operation->listed_then = listed;
    operation_enter(operation, OPERATION_WAITS_FOR_LISTING);
    engine_want_listing(operation->engine, operation->aap, 1); /* at once */
}

static void find(struct operation *operation)
{
    struct engine *engine = operation->engine;
    struct places places;
    char id[CLIENT_KEY_ID_SIZE] = "";
    if (!account_holds(operation))
        return;
    registry_lock(engine->parts.registry);
    unsigned int most = look(operation, &places);
    if (places.first.client_key_id)
        memcpy(id, places.first.client_key_id, strlen(places.first.client_key_id) + 1);
    registry_unlock(engine->parts.registry);
    const struct place first = {id, places.first.kind, places.first.not_after};
    if (places.filled < most || operation_is_late(operation)) /* which ends it: nothing is deleted for it */
        operation->then(operation);
    else if (engine_aap(engine, operation->aap)->upkeep.deleting)
        operation_enter(operation, OPERATION_WAITS_FOR_DELETION); /* which may free one */
    else if (!operation->place.listed)
        list(operation);
    else if (!places_are_enough(&places, most))
        refuse(operation, NULL);
    else
        free_one(operation, &first);
}

void place_require(struct operation *operation, void (*then)(struct operation *operation))
{
    operation->then = then;
    find(operation);
}

bool place_is_refused(struct operation *operation, const struct kms_error *error)
{
    if (error->number != EDQUOT || operation->place.quota_error.number)
        return false;
    operation->place.quota_error = *error;
    operation->place.listed = false;
    if (account_holds(operation))
        list(operation);
    return true;
}

static void listed(struct operation *operation, const struct kms_error *error)
{
    const struct engine_aap *notes = engine_aap(operation->engine, operation->aap);
    operation->place.listed = true;
    bool is_known = !error || strcmp(error->code, "Publication") == 0;
    /* or there is no better knowledge to wait for */
    bool usable = is_known || notes->listing.failures >= LISTINGS_FAILED ||
                  kms_error_is_forbidden(error->code, error->http_status);
    if (!usable) {
        operation_fail(operation, error);
        return;
    }
    if (operation->place.quota_error.number && !learn_quota(operation, is_known))
        operation_fail(operation, &operation->place.quota_error);
    else
        find(operation);
}

void place_deleted(struct engine *engine, uint32_t aap, int result)
{
    struct operation *operation = engine_aap(engine, aap)->running;
    char why[WHY_SIZE];
    if (!operation || operation->stage != OPERATION_WAITS_FOR_DELETION)
        return;
    operation_enter(operation, OPERATION_UNDER_WAY);
    bool is_for_it = operation->place.freed_id[0];
    if (is_for_it && result < 0) {
        registry_lock(engine->parts.registry);
        const struct kms_error *error = &operation_failure(operation)->error;
        snprintf(why, sizeof(why), "%.60s cannot be deleted: %.40s: %.30s", operation->place.freed_id, error->code, error->message);
        registry_unlock(engine->parts.registry);
        refuse(operation, why);
        return;
    }
    operation->place.freed_id[0] = '\0';
    find(operation);
}
