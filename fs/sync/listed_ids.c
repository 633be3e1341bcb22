#include "fs/sync/listed_ids.h"

#include <stdlib.h>
#include <string.h>

static int compare_ids(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;
    return strcmp(*a, *b);
}

bool listed_ids_have(const struct listed_ids *listed, const char *client_key_id)
{
    return listed->count > 0 && bsearch(&client_key_id, listed->ids, listed->count, sizeof(*listed->ids), compare_ids);
}

bool listed_ids_sort(struct listed_ids *listed, const struct kms_client_key *keys, size_t count)
{
    *listed = (struct listed_ids){calloc(count + 1, sizeof(*listed->ids)), count};
    if (!listed->ids)
        return false;
    for (size_t i = 0; i < count; i++)
        listed->ids[i] = keys[i].client_key_id;
    if (count > 0)
        qsort(listed->ids, count, sizeof(*listed->ids), compare_ids);
    return true;
}
