#include "fs/keys/adopt.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/base/nanoseconds.h"
#include "fs/base/stops.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/admit.h"
#include "fs/keys/judge.h"
#include "fs/sync/account.h"
#include "fs/sync/doubts.h"
#include "fs/sync/ram_role.h"
#include "kmsapi/certificate.h"
#include "kmsapi/iso_time.h"

/* -- keeping ------------------------------------------------------------------------------- */

/* Readers see it. */
static void shown(struct operation *operation)
{
    registry_lock(operation->engine->parts.registry);
    failure_clear(operation_failure(operation), FAILURE_ONE_KEY); /* that KMS was asked for it went well too */
    registry_unlock(operation->engine->parts.registry);
    operation_succeed(operation);
}

/* On the disk, or nothing has happened. */
static int save(struct operation *operation, struct record *record)
{
    struct engine *engine = operation->engine;
    struct store_intent *intent;
    const struct store_wish wish = {
        .aap_name = record->aap_name,
        .not_before = record->not_before,
        .not_after = record->not_after,
        .dates_given = true,
        .adopted = true,
        .made_ns = nanoseconds(engine_now(engine)),
    };
    int r = store_reserve(engine->store, &wish, &intent);
    if (r < 0)
        return r;
    record->intent = store_intent_number(intent);
    stop_here("engine-adopting");
    r = store_save(engine->store, intent, record);
    if (r < 0)
        store_drop(engine->store, intent);
    return r;
}

static void keep(struct operation *operation, struct record *record, struct client_key *forms)
{
    struct engine *engine = operation->engine;
    int r = save(operation, record);
    if (r < 0) {
        if (r == -ENOENT) /* which would say that KMS does not know the key */
            r = -EIO;
        operation_refuse(operation, -r, "State", "the key cannot be saved: %s; nothing was changed", strerror(-r));
        return;
    }
    /* from here on a successor finds it */
    operation_note_intent(operation, record->intent);
    stop_here("engine-adopted");
    r = admit_key(operation, record, forms);
    doubts_forget(engine, operation->aap, record->client_key_id); /* what was known of its id was a key without a private half */
    if (r < 0)
        operation_refuse(operation, ENOMEM, "Memory", "the key is saved but cannot be shown now");
    else
        admit_show_key(operation, shown);
}

/* -- judging ------------------------------------------------------------------------------- */

static bool is_certificate(const char *pem)
{
    struct client_key_bytes bytes;
    int r = certificate_read(pem, &bytes);
    OPENSSL_free(bytes.data);
    return r != -EINVAL;
}

/* KMS says that the key is this AAP's: judged with its dates, and kept. */
static void judge(struct operation *operation, const char *aap_name, const struct kms_client_key *key)
{
    struct engine *engine = operation->engine;
    struct client_key forms;
    char reason[256];
    struct record record = {
        .aap_name = record_borrow(aap_name),
        .client_key_id = operation->command.client_key_id,
        .key_algorithm = record_borrow(key->key_algorithm),
        .not_before = record_borrow(key->not_before),
        .not_after = record_borrow(key->not_after),
        .private_key_data = operation->command.private_key_data,
        .password = operation->command.password,
        .request_id = record_borrow(""),
        .asked = engine_now(engine),
        .dates_given = true,
        .adopted = true,
    };
    registry_lock(engine->parts.registry);
    judge_set_times(registry_aap(engine->parts.registry, operation->aap), record.asked, &record);
    registry_unlock(engine->parts.registry);
    int r = judge_record(engine->parts.library, &record, &forms, reason, sizeof(reason));
    if (r == 0 && !is_certificate(key->public_key_data)) {
        operation_refuse(operation, EIO, "Answer.Malformed",
                         "the certificate that KMS has for this ClientKeyId (PublicKeyData) cannot be read as PEM, so "
                         "whether the key is the one that KMS knows cannot be told; nothing was changed");
    } else if (r == 0 && !certificate_is_of(key->public_key_data, &forms, record.password)) {
        operation_refuse(operation, EKEYREJECTED, "OtherCertificate",
                         "the certificate that KMS has for this ClientKeyId belongs to another private key; nothing was "
                         "changed");
    } else if (r == 0) {
        if (forms.certificate_pem.size == 0) /* encrypted so that only OpenSSL's legacy provider opens it */
            (void)certificate_read(key->public_key_data, &forms.certificate_pem);
        keep(operation, &record, &forms);
    } else if (r == -EKEYREJECTED) {
        operation_refuse(operation, EKEYREJECTED, "KeyRejected", "%s; nothing was changed", reason);
    } else {
        operation_refuse(operation, -r, "Memory", "memory is short; nothing was changed");
    }
    client_key_clear(&forms);
}

static bool has_ended(const struct engine *engine, const char *not_after)
{
    int64_t seconds;
    return iso_time_parse(not_after, strlen(not_after), &seconds) == 0 && seconds <= engine_now(engine);
}

static void got(void *user, const struct kms_answer *answer, const struct kms_client_key *key)
{
    struct operation *operation = user;
    char aap_name[AAP_NAME_SIZE];
    engine_observe(operation->engine, answer);
    operation_aap_name(operation, aap_name);
    if (answer->error.number)
        operation_fail(operation, &answer->error);
    else if (operation_is_late(operation))
        operation_refuse(operation, ETIMEDOUT, "Network.Timeout",
                         "KMS took too long to tell whose key it is; nothing was changed: write again");
    else if (strcmp(key->client_key_id, operation->command.client_key_id) != 0)
        operation_refuse(operation, EIO, "Answer.Malformed", "KMS's answer is of another key; nothing was changed");
    else if (strcmp(key->aap_name, aap_name) != 0)
        operation_refuse(operation, EINVAL, "OtherAap",
                         "the key belongs to another application access point; write it to that one's control");
    else if (has_ended(operation->engine, key->not_after))
        operation_refuse(operation, EINVAL, "Expired", "the key has expired; nothing was changed");
    else
        judge(operation, aap_name, key);
}

static void ask(struct operation *operation)
{
    struct engine *engine = operation->engine;
    if (kms_get_client_key(engine->parts.transport, operation->command.client_key_id, operation_time_left(operation),
                           got, operation) < 0)
        operation_refuse(operation, ENOMEM, "Memory", "memory is short");
}

/* Before KMS is asked: whether it opens with the password. */
static int try_open(struct operation *operation, char *reason, size_t size)
{
    const struct control_command *command = &operation->command;
    struct client_key forms;
    int r = client_key_open(operation->engine->parts.library, command->client_key_id, command->private_key_data,
                            command->password, &forms, reason, size);
    client_key_clear(&forms);
    return r;
}

/* With the account KMS may have told that this AAP has no client keys. */
static void ask_unless_ram_role(struct operation *operation)
{
    if (!ram_role_refuses(operation))
        ask(operation);
}

void adopt_begin(struct operation *operation)
{
    struct engine *engine = operation->engine;
    const char *id = operation->command.client_key_id;
    char reason[256] = "memory is short";
    if (ram_role_refuses(operation))
        return;
    int r = try_open(operation, reason, sizeof(reason));
    if (r < 0) {
        operation_refuse(operation, -r, "KeyRejected", "%s; nothing was changed", reason);
        return;
    }
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, operation->aap);
    const struct registry_key *foreign = registry_find_foreign(aap, id);
    bool here = registry_has_private(aap, id);
    bool leaves = foreign && foreign->deleted;
    registry_unlock(engine->parts.registry);
    if (here)
        operation_refuse(operation, EEXIST, "KnownKey", "the private half of this key is here already");
    else if (leaves)
        operation_refuse(operation, EBUSY, "Busy", "the key is just leaving keys/; write again");
    else
        account_require(operation, ask_unless_ram_role);
}
