/*
 * The bodies of requests to etcd's JSON gateway. Pure, any thread. Each returns a text (secret_string: it is wiped), or NULL
 * when memory is short.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/etcd/fleet_store.h"

struct question_range {
    const void *key;    /* the first one */
    size_t key_size;
    const char *prefix; /* up to the last key that begins so; NULL: KEY alone */
    int64_t revision;   /* as it was then; 0: as it is now */
    int64_t limit;      /* entries; 0: any number */
    bool keys_only;
};

char *question_range(const struct question_range *range);
/* Where the comparisons do not hold the answer has what the compared keys hold. */
char *question_commit(const struct fleet_commit *commit);
/* Everything from REVISION on; long answers come in fragments. */
char *question_watch(const char *prefix, int64_t revision);
char *question_grant(unsigned int ttl_s);
/* To keep it alive, and to revoke it. */
char *question_lease(int64_t id);
char *question_authenticate(const char *user, const char *password);
