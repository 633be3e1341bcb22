#include "fs/keys/judge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/engine/kms_clock.h"
#include "fs/model/schedule.h"
#include "kmsapi/iso_time.h"

static bool dates_are_good(const struct record *record, int64_t *not_before, int64_t *not_after)
{
    return iso_time_parse(record->not_before, strlen(record->not_before), not_before) == 0 &&
           iso_time_parse(record->not_after, strlen(record->not_after), not_after) == 0;
}

int judge_record(struct client_key_library *library, const struct record *record,
                 struct client_key *key, char *reason, size_t size)
{
    int64_t not_before, not_after;
    *key = (struct client_key){0};
    if (!dates_are_good(record, &not_before, &not_after)) {
        snprintf(reason, size, "NotBefore or NotAfter is not of the form yyyy-MM-ddTHH:mm:ssZ");
        return -EKEYREJECTED;
    }
    if (record->asked && !record->adopted && not_after <= record->asked) {
        snprintf(reason, size, "its NotAfter, %s, had passed before it was asked for", record->not_after);
        return -EKEYREJECTED;
    }
    return client_key_open(library, record->client_key_id, record->private_key_data, record->password, key, reason, size);
}

int judge_restore(struct store *store, const struct record *record, struct client_key *key)
{
    struct forms forms;
    int64_t not_before, not_after;
    *key = (struct client_key){0};
    if (!dates_are_good(record, &not_before, &not_after))
        return -EKEYREJECTED;
    int r = store_read_forms(store, record->aap_name, record->client_key_id, &forms);
    if (r == 0)
        r = client_key_restore(record->client_key_id, record->private_key_data,
                               &forms.private_key_pem, &forms.certificate_pem, key);
    forms_clear(&forms);
    return r;
}

int64_t judge_asked(const struct record *record)
{
    return record->asked ? record->asked : record->made_ns / 1000000000;
}

void judge_set_times(const struct registry_aap *aap, int64_t now, struct record *record)
{
    int64_t begins, ends;
    record->made_ns = registry_next_made_ns(aap, clock_local_ns());
    record->scheduled = aap->current && dates_are_good(record, &begins, &ends) && begins > now + SCHEDULE_AHEAD_SECONDS;
    /* also where KMS's clock went back: later than what it replaces */
    if (aap->current && aap->current->scheduled && record->asked <= aap->current->not_before_time)
        record->asked = aap->current->not_before_time + 1;
}

struct registry_key *judge_admit(struct registry *registry, struct registry_aap *aap,
                                 const struct record *record, struct client_key *key)
{
    struct registry_new_key new_key = {
        .client_key_id = record->client_key_id,
        .key_algorithm = record->key_algorithm,
        .not_before = record->not_before,
        .not_after = record->not_after,
        .request_id = record->request_id,
        .made_ns = record->made_ns,
        .asked = judge_asked(record),
        .scheduled = record->scheduled,
        .intent = record->intent,
        .dates_given = record->dates_given,
        .adopted = record->adopted,
        .password = aap->config->expose_password ? record->password : NULL,
        .forms = key,
    };
    if (!dates_are_good(record, &new_key.not_before_time, &new_key.not_after_time))
        return NULL;
    return registry_add_key(registry, aap, &new_key);
}

void judge_reject(struct registry_aap *aap, const struct record *record)
{
    struct registry_id *id = registry_add_id(&aap->rejected, record->client_key_id, record->intent);
    if (!id)
        return;
    id->asked = judge_asked(record);
    (void)iso_time_parse(record->not_after, strlen(record->not_after), &id->not_after);
}

void judge_keep_forms(struct store *store, const char *aap_name, const struct registry_key *key)
{
    const struct forms forms = {key->files[KEY_FILE_PRIVATE_KEY_PEM],
                                key->files[KEY_FILE_CERTIFICATE_PEM]};
    (void)store_write_forms(store, aap_name, key->client_key_id, &forms);
}
