#include "fs/etcd/endpoints.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/rand.h>

#include "fs/base/reason.h"
#include "kmsapi/base/backoff.h"

enum { WAIT_LEAST_MS = 125 };

int endpoints_set(struct endpoints *endpoints, const char *const *urls, size_t count, char *reason, size_t size)
{
    uint32_t random = 0;
    *endpoints = (struct endpoints){.count = count};
    if (count == 0 || count > ENDPOINTS_MOST)
        return reason_give(reason, size, -EINVAL, "right are 1 to %d endpoints", ENDPOINTS_MOST);
    for (size_t i = 0; i < count; i++) {
        struct endpoints_member *member = &endpoints->members[i];
        int r = endpoint_parse(urls[i], &member->where, reason, size);
        if (r < 0)
            return r;
        snprintf(member->url, sizeof(member->url), "%s://%s", member->where.tls ? "https" : "http",
                 member->where.authority);
    }
    if (RAND_bytes((unsigned char *)&random, sizeof(random)) == 1)
        endpoints->current = random % count;
    return 0;
}

size_t endpoints_choose(struct endpoints *endpoints, int64_t now_ms, int64_t *again_ms)
{
    *again_ms = INT64_MAX;
    for (size_t i = 0; i < endpoints->count; i++) {
        size_t number = (endpoints->current + i) % endpoints->count;
        const struct endpoints_member *member = &endpoints->members[number];
        if (member->again_ms <= now_ms)
            return endpoints->current = number;
        if (member->again_ms < *again_ms)
            *again_ms = member->again_ms;
    }
    return ENDPOINTS_NONE;
}

void endpoints_failed(struct endpoints *endpoints, size_t number, int64_t now_ms, uint32_t random)
{
    struct endpoints_member *member = &endpoints->members[number];
    int64_t wait_ms = backoff_ms(WAIT_LEAST_MS, ENDPOINTS_WAIT_MOST_MS, member->failures);
    if (member->again_ms > now_ms)
        return; /* several requests to it failed together */
    member->failures++;
    member->failed++;
    member->resolving_ms = 0;
    member->again_ms = now_ms + wait_ms / 2 + (int64_t)(random % (uint32_t)(wait_ms / 2));
    if (endpoints->current == number)
        endpoints->current = (number + 1) % endpoints->count;
}

void endpoints_answered(struct endpoints *endpoints, size_t number)
{
    struct endpoints_member *member = &endpoints->members[number];
    member->failures = 0;
    member->again_ms = 0;
    member->resolving_ms = 0;
}
