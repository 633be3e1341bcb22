#include "fs/etcd/etcd_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/engine/kms_clock.h"
#include "fs/etcd/etcd_call.h"
#include "fs/etcd/questions.h"
#include "kmsapi/cleanup.h"

/* Entries in one answer: of the largest values that we write fewer than ETCD_ANSWER_MOST bytes. */
enum { PART = 64, PART_OF_KEYS = 2048 };

struct reading {
    struct etcd *etcd;
    struct fleet_get get; /* its key is KEY */
    char key[FLEET_KEY_SIZE];
    int64_t revision;     /* of the first part, and so of all; 0: none has come */
    int64_t part;         /* entries to ask for */
    int64_t deadline_ms;
    struct answer_last last; /* where the next part begins */
};

static int begin_part(struct reading *reading);

static void free_reading(void *user)
{
    struct reading *reading = user;
    OPENSSL_free(reading->last.key);
    free(reading);
}

static int take(void *user, const json_t *answer, int64_t sent_ms)
{
    struct reading *reading = user;
    const struct fleet_get *get = &reading->get;
    struct answer_entries entries;
    struct answer_last last = {0};
    int64_t revision;
    int r = answer_revision(answer, &revision);
    if (r == 0)
        r = answer_range(answer, &(struct answer_asked){get->key, get->prefix, get->keys_only}, &entries, &last);
    if (r < 0)
        return r;
    OPENSSL_free(reading->last.key);
    reading->last = last;
    if (!reading->revision)
        reading->revision = revision;
    for (size_t i = 0; i < entries.count; i++)
        get->found(get->user, &entries.list[i]);
    answer_entries_free(&entries);
    return 0;
}

static void ended(void *user, const struct fleet_error *error)
{
    struct reading *reading = user;
    const struct fleet_get *get = &reading->get;
    struct fleet_error result = *error;
    bool more = error->number == 0 && reading->last.key;
    if (error->number == EMSGSIZE && reading->part > 1) { /* somebody keeps large things there */
        reading->part /= 8;
        more = true;
    }
    if (more && begin_part(reading) == 0)
        return;
    if (more)
        result = (struct fleet_error){.number = ENOMEM, .text = "memory is short"};
    get->ended(get->user, &result, reading->revision);
    free_reading(reading);
}

static int begin_part(struct reading *reading)
{
    const struct fleet_get *get = &reading->get;
    const struct answer_last *last = &reading->last;
    const struct question_range range = {
        .key = last->key ? last->key : (const void *)reading->key,
        .key_size = last->key ? last->size + 1 : strlen(reading->key), /* with its NUL: the one right behind it */
        .prefix = get->prefix ? reading->key : NULL,
        .revision = reading->revision,
        .limit = reading->part,
        .keys_only = get->keys_only,
    };
    int64_t left_ms = reading->deadline_ms - clock_monotonic_ms();
    return etcd_call_begin(reading->etcd, &(struct etcd_call_wish){
        .path = "kv/range",
        .body = question_range(&range),
        .timeout_ms = left_ms > 0 ? (unsigned int)left_ms : 0,
        .take = take,
        .ended = ended,
        .drop = free_reading,
        .user = reading,
    });
}

int etcd_read(struct fleet_store *store, const struct fleet_get *get)
{
    struct reading *reading = strlen(get->key) < FLEET_KEY_SIZE ? calloc(1, sizeof(*reading)) : NULL;
    if (!reading)
        return strlen(get->key) < FLEET_KEY_SIZE ? -ENOMEM : -EINVAL;
    reading->etcd = etcd_of(store);
    reading->get = *get;
    strcpy(reading->key, get->key);
    reading->get.key = reading->key;
    reading->part = get->keys_only ? PART_OF_KEYS : PART;
    reading->deadline_ms = clock_monotonic_ms() + get->timeout_ms;
    int r = begin_part(reading);
    if (r < 0)
        free_reading(reading);
    return r;
}
