/* The ids of a listing, sorted: whether one was listed. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kmsapi/kms.h"

struct listed_ids {
    const char **ids; /* the listing's */
    size_t count;
};

/* Those of COUNT KEYS. False: memory is short. */
bool listed_ids_sort(struct listed_ids *listed, const struct kms_client_key *keys, size_t count);

bool listed_ids_have(const struct listed_ids *listed, const char *client_key_id);
