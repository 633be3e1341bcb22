#include "fs/etcd/etcd_commit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/etcd/etcd_call.h"
#include "fs/etcd/questions.h"

struct committing {
    struct fleet_commit commit; /* ENDED and USER alone */
    struct fleet_compare compares[FLEET_PARTS_MOST]; /* their keys are in KEYS */
    size_t count;
    char keys[FLEET_PARTS_MOST][FLEET_KEY_SIZE];
    bool done;
    int64_t revision;
    struct answer_entries found;
};

static void free_committing(void *user)
{
    struct committing *committing = user;
    answer_entries_free(&committing->found);
    free(committing);
}

static int take(void *user, const json_t *answer, int64_t sent_ms)
{
    struct committing *committing = user;
    int r = answer_revision(answer, &committing->revision);
    return r < 0 ? r : answer_commit(answer, committing->compares, committing->count, &committing->done, &committing->found);
}

static void ended(void *user, const struct fleet_error *error)
{
    struct committing *committing = user;
    const struct fleet_commit *commit = &committing->commit;
    bool good = error->number == 0;
    commit->ended(commit->user, error, good && committing->done, good ? committing->revision : 0, committing->found.list);
    free_committing(committing);
}

static bool is_key(const char *key)
{
    size_t length = strlen(key);
    return length > 0 && length < FLEET_KEY_SIZE;
}

/* As fleet_store.h has it: it can be sent twice. */
static bool is_right(const struct fleet_commit *commit)
{
    bool twice = false;
    if (commit->compare_count == 0 || commit->compare_count > FLEET_PARTS_MOST || commit->change_count == 0 ||
        commit->change_count > FLEET_PARTS_MOST)
        return false;
    for (size_t i = 0; i < commit->change_count; i++)
        if (!is_key(commit->changes[i].key) || commit->changes[i].size > FLEET_VALUE_MOST)
            return false;
    for (size_t i = 0; i < commit->compare_count; i++) {
        if (!is_key(commit->compares[i].key))
            return false;
        for (size_t j = 0; j < commit->change_count; j++)
            twice = twice || strcmp(commit->compares[i].key, commit->changes[j].key) == 0;
    }
    return twice;
}

int etcd_commit(struct fleet_store *store, const struct fleet_commit *commit)
{
    if (!is_right(commit))
        return -EINVAL;
    struct committing *committing = calloc(1, sizeof(*committing));
    if (!committing)
        return -ENOMEM;
    committing->commit.ended = commit->ended;
    committing->commit.user = commit->user;
    committing->count = commit->compare_count;
    for (size_t i = 0; i < commit->compare_count; i++) {
        committing->compares[i] = commit->compares[i];
        committing->compares[i].key = strcpy(committing->keys[i], commit->compares[i].key);
    }
    int r = etcd_call_begin(etcd_of(store), &(struct etcd_call_wish){
        .path = "kv/txn",
        .body = question_commit(commit),
        .change = true,
        .timeout_ms = commit->timeout_ms,
        .take = take,
        .ended = ended,
        .drop = free_committing,
        .user = committing,
    });
    if (r < 0)
        free_committing(committing);
    return r;
}
