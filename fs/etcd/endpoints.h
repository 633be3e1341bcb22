/*
 * The members of etcd, and which one to ask: the one that answered last, until it fails; then the next one, and each of
 * those that failed after a while, twice as long each time, of which a random part keeps the hosts of a fleet apart. Pure
 * but for the choice of the first; the engine's thread. Times: CLOCK_MONOTONIC in milliseconds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kmsapi/base/endpoint.h"

enum { ENDPOINTS_MOST = 9, ENDPOINTS_NONE = ENDPOINTS_MOST, ENDPOINTS_WAIT_MOST_MS = 8000 };

struct endpoints {
    struct endpoints_member {
        struct endpoint where;
        char url[288];         /* without a path, for requests and messages */
        unsigned int failures; /* in a row */
        unsigned int failed;   /* in all: whoever uses it sees that somebody else had trouble with it */
        int64_t again_ms;      /* not to be asked before */
        int64_t resolving_ms;  /* since when its name is looked up; 0: it is not */
    } members[ENDPOINTS_MOST];
    size_t count, current;
};

/* URLS, of COUNT, as endpoint_parse takes them; begins with a random one. 0, or -EINVAL and REASON. */
int endpoints_set(struct endpoints *endpoints, const char *const *urls, size_t count, char *reason, size_t size);

/* Which one to ask; ENDPOINTS_NONE: none before *AGAIN_MS. */
size_t endpoints_choose(struct endpoints *endpoints, int64_t now_ms, int64_t *again_ms);

/* RANDOM: any number. */
void endpoints_failed(struct endpoints *endpoints, size_t member, int64_t now_ms, uint32_t random);
void endpoints_answered(struct endpoints *endpoints, size_t member);
