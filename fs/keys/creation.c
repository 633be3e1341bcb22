#include "fs/keys/creation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "fs/base/nanoseconds.h"
#include "fs/base/stops.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/fleet/intents.h"
#include "fs/fleet/lock.h"
#include "fs/fleet/push.h"
#include "fs/keys/admit.h"
#include "fs/keys/creator.h"
#include "fs/keys/judge.h"
#include "fs/keys/make_place.h"
#include "fs/keys/unsaved.h"
#include "fs/model/validity.h"
#include "fs/sync/account.h"
#include "fs/sync/doubts.h"
#include "fs/sync/ram_role.h"
#include "kmsapi/base/calendar.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/iso_time.h"

/*
 * A creation, in the order of this file. What it waits for in between is told back to it; any step may be its end.
 *
 *  1. creation_begin: somebody may make a key of this AAP now. Whose account it is: account.c. That no other host of a fleet
 *     is at it: creator.c.
 *  2. find_place: KMS gives the AAP a place for it, or one is freed: make_place.c.
 *  3. reserve: the dates are chosen, and the intent is on the disk, and in the fleet: from here on a key may come.
 *  4. send: KMS is asked. Those who wait may be told that it takes too long: parked.
 *  5. created: KMS has answered. What was refused for its time goes back to 3, for want of a place to 2.
 *  6. save: the key is on the disk, sealed and synced, or is kept in memory until it is: unsaved.c.
 *  7. judge: it opens, and comes in: admit.c; or is kept as rejected.
 *  8. shown: readers see it, and the fleet is told, and those who wait are.
 */
static void find_creator(struct operation *operation);
static void find_place(struct operation *operation);
static void reserve(struct operation *operation);
static void reserved(struct operation *operation, const struct fleet_error *error);
static void send_request(struct operation *operation);
static void created(void *user, const struct kms_answer *answer, const struct kms_client_key *key);
static bool save(struct operation *operation, const struct record *record);
static void judge(struct operation *operation, const struct record *record);
static void shown(struct operation *operation);

static bool guard(struct operation *operation)
{
    struct engine *engine = operation->engine;
    const struct engine_aap *notes = engine_aap(engine, operation->aap);
    int64_t since_ms = clock_monotonic_ms() - notes->created_mono_ms;
    bool same = operation->caller.pid != 0 && notes->creator == operation->caller.pid; /* 0: somebody who is not seen from here */
    if (!notes->created_mono_ms || same || since_ms >= engine->parts.config->creation_guard_ms)
        return true;
    operation_refuse(operation, EBUSY, "CreationGuard",
                     "another process made a key of this AAP %lld ms ago; look at status, and write again if another one is "
                     "wanted", (long long)since_ms);
    return false;
}

void creation_begin(struct operation *operation)
{
    struct engine *engine = operation->engine;
    if (ram_role_refuses(operation))
        return;
    if (!operation->automatic)
        engine_aap(engine, operation->aap)->asked_by_hand = engine_now(engine);
    if (operation->automatic || guard(operation))
        account_require(operation, find_creator);
}

static void find_creator(struct operation *operation)
{
    creator_require(operation, find_place);
}

/* With the account KMS may have told that this AAP has no client keys: no place is made there. */
static void find_place(struct operation *operation)
{
    if (!ram_role_refuses(operation))
        place_require(operation, reserve);
}

static void choose_dates(struct operation *operation, const struct config_aap *config)
{
    const struct control_command *command = &operation->command;
    if (command->has_dates) {
        memcpy(operation->creation.not_before, command->not_before, sizeof(operation->creation.not_before));
        memcpy(operation->creation.not_after, command->not_after, sizeof(operation->creation.not_after));
        return;
    }
    operation->creation.not_before[0] = operation->creation.not_after[0] = '\0';
    if (config->validity_seconds == 0)
        return;
    uint32_t random[2];
    if (RAND_bytes((unsigned char *)random, sizeof(random)) != 1)
        memset(random, 0, sizeof(random));
    const struct engine *engine = operation->engine;
    int64_t now = operation->creation.told_time ? operation->creation.told_time : clock_earliest(&engine->clock, engine_now(engine));
    const struct validity_length length = {config->validity_years, config->validity_seconds};
    const struct validity validity = validity_choose(now, &length, random);
    iso_time_format(validity.not_before, operation->creation.not_before);
    iso_time_format(validity.not_after, operation->creation.not_after);
}

static void refuse_late(struct operation *operation)
{
    operation_refuse(operation, ETIMEDOUT, "Network.Timeout",
                     "KMS took too long to tell what has to be known before; no key was asked for: write again");
}

static void reserve(struct operation *operation)
{
    struct engine *engine = operation->engine;
    char aap_name[AAP_NAME_SIZE];
    if (operation_is_late(operation)) {
        refuse_late(operation);
        return;
    }
    if (!account_holds(operation))
        return;
    choose_dates(operation, operation_aap_name(operation, aap_name));
    operation->creation.made = engine_now(engine);
    const struct store_wish wish = {
        .aap_name = aap_name,
        .not_before = operation->creation.not_before,
        .not_after = operation->creation.not_after,
        .dates_given = operation->command.has_dates,
        .made_ns = nanoseconds(operation->creation.made),
    };
    int r = store_reserve(engine->store, &wish, &operation->creation.intent);
    if (r < 0) {
        if (r == -ENOENT) /* which would say that KMS does not know the AAP */
            r = -EIO;
        operation_refuse(operation, -r, "State", "the state directory has no room for a key: %s; nothing was sent",
                         strerror(-r));
        return;
    }
    intents_put(operation, reserved);
}

/* No request was sent: nothing can come of the intent. */
static void drop_intent(struct operation *operation)
{
    store_drop(operation->engine->store, steal_pointer(&operation->creation.intent));
    intents_drop(operation);
}

/* Of a fleet's hosts another one may have the lock by now, and see the intent; it would not wait for a later request. */
static void reserved(struct operation *operation, const struct fleet_error *error)
{
    bool late = operation_is_late(operation);
    if (!error && !late && lock_holds(operation, operation->engine->parts.config->request_timeout_ms)) {
        send_request(operation);
        return;
    }
    drop_intent(operation);
    if (error)
        lock_fail(operation, error);
    else if (late)
        refuse_late(operation);
    else
        operation_refuse(operation, ETIMEDOUT, "Fleet", "the lock of this AAP in the fleet does not hold for long enough, its etcd "
                         "did not renew it in time; nothing was sent to KMS");
}

/* Those who wait are told; a key that comes all the same is taken as if it had come in time. */
static void parked(void *user)
{
    struct operation *operation = user;
    struct engine *engine = operation->engine;
    const struct kms_error error = kms_error_make(
        "", ETIMEDOUT, "Network.Timeout", "the request was sent and no answer came in time; a key that comes within the next %u s "
        "becomes the current one", (creator_park_ms(engine) + 999) / 1000);
    registry_lock(engine->parts.registry);
    failure_set(operation_failure(operation), FAILURE_CREATION, &error, engine_now(engine));
    registry_unlock(engine->parts.registry);
    operation_answer(operation, -ETIMEDOUT);
}

/* Whether it may have been refused for dates that aapfs chose by a wrong time, which is told once. */
static bool dates_are_chosen(const struct operation *operation)
{
    const struct creation *creation = &operation->creation;
    return creation->not_before[0] && !operation->command.has_dates && !creation->told_time;
}

static void send_request(struct operation *operation)
{
    struct engine *engine = operation->engine;
    char aap_name[AAP_NAME_SIZE];
    operation_aap_name(operation, aap_name);
    const struct kms_create_client_key request = {
        .aap_name = aap_name,
        .password = operation->command.password,
        .not_before = operation->creation.not_before[0] ? operation->creation.not_before : NULL,
        .not_after = operation->creation.not_after[0] ? operation->creation.not_after : NULL,
        .parked = parked,
        .park_ms = creator_park_ms(engine),
        .dated = dates_are_chosen(operation),
    };
    operation_note_intent(operation, store_intent_number(operation->creation.intent));
    stop_here("engine-reserved");
    /* its whole time, whatever was spent before: whoever waits is answered by the operation's own deadline */
    if (kms_create_client_key(engine->parts.transport, &request,
                              engine->parts.config->request_timeout_ms, created, operation) == 0)
        return;
    drop_intent(operation);
    operation_refuse(operation, ENOMEM, "Memory", "memory is short; nothing was sent");
}

enum { UNDATED_YEARS = 5 }; /* of a key that was asked for without dates, as KMS documents it */

/*
 * TEXT, KMS's word, or where that is none what the key was asked to have, or UNDATED: nothing beside a key is worth losing it.
 */
static const char *date_or_asked(const char *text, const char *asked, int64_t undated, char room[static ISO_TIME_SIZE])
{
    if (text[0] || asked[0])
        return text[0] ? text : asked;
    (void)iso_time_format(undated, room);
    return room;
}

/* When the record's key came, and whether it is to wait for its NotBefore. */
static void set_times(struct operation *operation, const struct kms_answer *answer, struct record *record)
{
    struct registry *registry = operation->engine->parts.registry;
    int64_t now = answer->transport && answer->transport->server_date ? answer->transport->server_date
                                                                    : engine_now(operation->engine);
    record->asked = operation->creation.made;
    registry_lock(registry);
    judge_set_times(registry_aap(registry, operation->aap), now, record); /* by the clock that judges it */
    registry_unlock(registry);
    operation->creation.of_no_use = record->scheduled && !record->dates_given;
}

static void take_refusal(struct operation *operation, const struct kms_answer *answer)
{
    bool for_its_time = dates_are_chosen(operation) && answer->transport && answer->transport->time_was_wrong &&
                        kms_error_is_about_the_clock(&answer->error);
    if (answer->error.maybe_done && !for_its_time)
        doubts_leave(operation);
    else
        drop_intent(operation);
    if (for_its_time) {
        operation->creation.told_time = answer->transport->server_date;
        reserve(operation); /* the dates that were chosen by it may be wrong as well */
    } else if (answer->error.maybe_done || !place_is_refused(operation, &answer->error)) {
        operation_fail(operation, &answer->error);
    }
}

static void created(void *user, const struct kms_answer *answer, const struct kms_client_key *key)
{
    struct operation *operation = user;
    struct engine *engine = operation->engine;
    stop_here("engine-answered");
    engine_observe(engine, answer);
    if (answer->error.number != 0) {
        take_refusal(operation, answer);
        return;
    }
    struct engine_aap *notes = engine_aap(engine, operation->aap);
    notes->created_mono_ms = clock_monotonic_ms();
    notes->creator = operation->caller.pid;

    char aap_name[AAP_NAME_SIZE], begins[ISO_TIME_SIZE], ends[ISO_TIME_SIZE];
    int64_t now = engine_now(engine), last = calendar_add_years(now, UNDATED_YEARS, LEAP_DAY_TO_FEBRUARY_28);
    operation_aap_name(operation, aap_name);
    struct record record = {
        .aap_name = aap_name,
        .client_key_id = record_borrow(key->client_key_id),
        .key_algorithm = record_borrow(key->key_algorithm),
        .not_before = record_borrow(date_or_asked(key->not_before, operation->creation.not_before, now, begins)),
        .not_after = record_borrow(date_or_asked(key->not_after, operation->creation.not_after, last, ends)),
        .private_key_data = record_borrow(key->private_key_data),
        .password = operation->command.password,
        .request_id = record_borrow(answer->request_id),
        .intent = operation->intent_number,
        .dates_given = operation->command.has_dates,
    };
    set_times(operation, answer, &record);
    if (!save(operation, &record))
        return;
    stop_here("engine-saved");
    judge(operation, &record);
}

/*
 * The first thing that happens to what KMS handed out. False: it cannot be kept whatever is tried, and the operation
 * has ended.
 */
static bool save(struct operation *operation, const struct record *record)
{
    struct engine *engine = operation->engine;
    int r = store_save(engine->store, operation->creation.intent, record);
    if (r == -EINVAL || r == -EEXIST || r == -EMSGSIZE) {
        doubts_leave(operation);
        operation_refuse(operation, EKEYREJECTED, "KeyRejected",
                         r == -EEXIST    ? "KMS's answer has the ClientKeyId of an earlier key"
                         : r == -EINVAL  ? "the ClientKeyId is not one that can be a name"
                                         : "PrivateKeyData is too large for a client key");
        return false;
    }
    struct store_intent *intent = steal_pointer(&operation->creation.intent);
    operation->creation.save_error = r;
    if (r < 0 && unsaved_keep(engine, operation->aap, intent, record) < 0)
        store_leave(engine->store, intent);
    return true;
}

/* In a fleet its intent stays: elsewhere it counts as lost. */
static void reject(struct operation *operation, const struct record *record, const char *reason)
{
    struct registry *registry = operation->engine->parts.registry;
    registry_lock(registry);
    judge_reject(registry_aap(registry, operation->aap), record);
    registry_unlock(registry);
    operation_refuse(operation, EKEYREJECTED, "KeyRejected", "%s", reason);
}

static void judge(struct operation *operation, const struct record *record)
{
    struct engine *engine = operation->engine;
    struct client_key forms;
    char reason[256];
    int r = judge_record(engine->parts.library, record, &forms, reason, sizeof(reason));
    stop_here("engine-judged");
    if (r == -EKEYREJECTED) {
        reject(operation, record, reason);
        return;
    }
    if (r == 0)
        r = admit_key(operation, record, &forms);
    client_key_clear(&forms);
    if (r < 0) {
        operation_refuse(operation, -r, "Memory", "the key %s was made%s but cannot be shown now",
                         record->client_key_id, operation->creation.save_error ? "" : " and saved,");
        return;
    }
    if (operation->generation)
        intents_keep(operation);
    else /* a Scheduled one is this host's matter until it begins */
        intents_drop(operation);
    admit_show_key(operation, shown);
}

static void told(struct operation *operation, bool told)
{
    if (operation->creation.of_no_use)
        operation_refuse(operation, EKEYREJECTED, "KeyOfNoUse",
                         "KMS made a client key that %s; it is in keys/: look at the validity that KMS gives, and at the clocks",
                         operation->generation ? "is to be replaced at once" : "is not valid yet, and becomes the current one when it is");
    else if (operation->creation.save_error)
        operation_refuse(operation, -operation->creation.save_error, UNSAVED_CODE,
                         "the key was made and is served, but could not be saved: %s; it is tried again "
                         "until it is, do not stop aapfs before", strerror(-operation->creation.save_error));
    else
        operation_succeed(operation);
}

static void shown(struct operation *operation)
{
    if (operation->generation && !operation->creation.save_error)
        push_await(operation, told);
    else
        told(operation, true);
}
