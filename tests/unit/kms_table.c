#include "tests/unit/kms_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/engine_rig.h"

struct kms_table kms_table;

void table_clear(void)
{
    memset(&kms_table, 0, sizeof(kms_table));
    kms_table.quota = CONFIG_QUOTA_KEYS;
}

struct table_aap *table_add(const char *name)
{
    assert_true(kms_table.aap_count < TABLE_AAPS);
    struct table_aap *aap = &kms_table.aaps[kms_table.aap_count++];
    snprintf(aap->name, sizeof(aap->name), "%s", name);
    return aap;
}

struct table_aap *table_find(const char *name)
{
    for (struct table_aap *aap = kms_table.aaps; aap < kms_table.aaps + kms_table.aap_count; aap++)
        if (strcmp(aap->name, name) == 0)
            return aap->gone ? NULL : aap;
    return NULL;
}

unsigned int table_count(const struct table_aap *aap)
{
    unsigned int count = 0;
    for (size_t i = 0; i < TABLE_KEYS; i++)
        count += aap->keys[i].id != 0;
    return count;
}

struct table_key *table_make(struct table_aap *aap, const char *not_before, const char *not_after)
{
    struct table_key *key = aap->keys;
    if (table_count(aap) >= kms_table.quota)
        return NULL;
    while (key->id)
        key++;
    *key = (struct table_key){.id = ++kms_table.last_id, .made = rig.now_ms / 1000};
    snprintf(key->name, sizeof(key->name), "KAAP.%u", key->id);
    snprintf(key->not_before, sizeof(key->not_before), "%s", not_before);
    snprintf(key->not_after, sizeof(key->not_after), "%s", not_after);
    assert_int_equal(iso_time_parse(key->not_after, strlen(key->not_after), &key->end), 0);
    return key;
}

static struct table_key *find_key(const char *id, struct table_aap **of)
{
    unsigned int number = (unsigned int)strtoul(id + strlen("KAAP."), NULL, 10);
    for (*of = kms_table.aaps; *of < kms_table.aaps + kms_table.aap_count; ++*of)
        for (size_t i = 0; i < TABLE_KEYS && !(*of)->gone; i++)
            if ((*of)->keys[i].id == number)
                return &(*of)->keys[i];
    return NULL;
}

/* -- answers ------------------------------------------------------------------------------- */

static void end_with(struct rig_result *result, int number, const char *code, long status, bool maybe_done)
{
    result->error = (struct kms_error){.number = number, .http_status = status, .maybe_done = maybe_done};
    strcpy(result->error.code, code);
    strcpy(result->error.message, "as simulated");
}

static void end_unknown(struct rig_result *result)
{
    end_with(result, ENOENT, "Forbidden.ResourceNotFound", 404, false);
}

static bool is_lost(enum table_fault fault)
{
    return fault == FAULT_BEFORE || fault == FAULT_AFTER;
}

static void create(struct table_aap *aap, struct rig_result *result, enum table_fault fault)
{
    const struct rig_request *request = rig_request();
    struct table_key *made = fault == FAULT_BEFORE || result->error.number
                                 ? NULL : table_make(aap, request->not_before, request->not_after);
    aap->creating = false;
    if (is_lost(fault))
        end_with(result, ECONNRESET, "Network.Reset", 0, true);
    else if (!made && !result->error.number)
        end_with(result, EDQUOT, "Rejected.LimitExceeded", 400, false);
    if (made)
        made->ours = made->lost = true;
    if (result->error.number) {
        rig_reply(result);
        return;
    }
    made->lost = false;
    assert_true(aap->creations < TABLE_CREATIONS);
    const struct kms_client_key key = {.client_key_id = made->name, .key_algorithm = "RSA_2048", .private_key_data = RIG_KEY,
                                       .not_before = made->not_before, .not_after = made->not_after};
    result->keys = &key;
    aap->times[aap->creations++] = (rig.now_ms + RIG_ANSWER_MS) / 1000;
    rig_reply(result);
}

static void list_keys(const struct table_aap *aap, struct rig_result *result, enum table_fault fault)
{
    struct kms_client_key keys[TABLE_KEYS];
    char created[TABLE_KEYS][ISO_TIME_SIZE];
    for (size_t i = 0; i < TABLE_KEYS; i++) {
        const struct table_key *key = &aap->keys[i];
        if (key->id == 0)
            continue;
        iso_time_format(key->made, created[result->count]);
        keys[result->count] = (struct kms_client_key){
            .client_key_id = key->name, .key_algorithm = "RSA_2048", .not_before = key->not_before,
            .not_after = key->not_after, .create_time = created[result->count], .public_key_data = "", .aap_name = aap->name};
        result->count++;
    }
    result->count -= fault == FAULT_SHORT && result->count > 0;
    result->keys = keys;
    rig_reply(result);
}

static void get_key(struct rig_result *result)
{
    struct table_aap *aap;
    const struct table_key *found = find_key(rig_request()->id, &aap);
    struct kms_client_key key = {0};
    if (!found && !result->error.number)
        end_unknown(result);
    else if (found)
        key = (struct kms_client_key){.client_key_id = found->name, .key_algorithm = "RSA_2048",
                                      .not_before = found->not_before, .not_after = found->not_after,
                                      .public_key_data = "", .aap_name = aap->name};
    result->keys = &key;
    rig_reply(result);
}

static void delete_key(struct rig_result *result, enum table_fault fault)
{
    struct table_aap *aap;
    struct table_key *key = find_key(rig_request()->id, &aap);
    if (key && !result->error.number && fault != FAULT_BEFORE) {
        if (kms_table.deletes)
            kms_table.deletes(aap, key);
        key->id = 0;
    }
    if (is_lost(fault))
        end_with(result, ECONNRESET, "Network.Reset", 0, true);
    else if (!key && !result->error.number)
        end_unknown(result);
    rig_reply(result);
}

static void list_aaps(struct rig_result *result)
{
    static struct kms_aap list[TABLE_AAPS];
    for (size_t i = 0; i < kms_table.aap_count; i++)
        if (!kms_table.aaps[i].gone)
            list[result->count++] = (struct kms_aap){.name = kms_table.aaps[i].name, .authentication_method = "ClientKey"};
    result->aaps = list;
    rig_reply(result);
}

static void describe(const struct table_aap *aap, struct rig_result *result)
{
    const struct kms_aap told = {.name = aap->name, .authentication_method = "ClientKey",
                                 .arn = "acs:kms:" RIG_REGION ":" RIG_ACCOUNT ":applicationaccesspoint/a"};
    result->aaps = &told;
    rig_reply(result);
}

void table_answer(enum table_fault fault)
{
    const struct rig_request *request = rig_request();
    struct rig_result result = {0};
    struct table_aap *aap = table_find(request->aap);
    bool is_creation = request->operation == RIG_CREATE, is_change = is_creation || request->operation == RIG_DELETE;
    if (request->aap[0] && !aap)
        end_unknown(&result);
    else if (fault == FAULT_UNAVAILABLE)
        end_with(&result, EAGAIN, "ServiceUnavailable", 503, is_creation);
    else if (is_lost(fault) && !is_change)
        end_with(&result, ECONNRESET, "Network.Reset", 0, false);
    if (request->aap[0] && !aap) {
        rig_reply(&result);
        return;
    }
    switch (request->operation) {
    case RIG_DESCRIBE:
        describe(aap, &result);
        break;
    case RIG_LIST_AAPS:
        list_aaps(&result);
        break;
    case RIG_LIST_KEYS:
        list_keys(aap, &result, fault);
        break;
    case RIG_CREATE:
        create(aap, &result, fault);
        break;
    case RIG_DELETE:
        delete_key(&result, fault);
        break;
    case RIG_GET:
        get_key(&result);
        break;
    }
}

void table_serve(void)
{
    rig_settle();
    while (rig_request()) {
        table_answer(FAULT_NONE);
        rig_settle();
    }
}

void table_serve_until(enum rig_operation operation)
{
    rig_settle();
    while (rig_request() && rig_request()->operation != operation) {
        table_answer(FAULT_NONE);
        rig_settle();
    }
    assert_non_null(rig_request());
}
