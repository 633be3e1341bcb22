#include "fs/etcd/etcd_lease.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/engine/kms_clock.h"
#include "fs/etcd/etcd_call.h"
#include "fs/etcd/questions.h"

/*
 * A leader that is being replaced may renew a lease once more, which the next one does not know of: the last part of its time
 * is not counted on.
 */
enum { REVOKE_LEAST_MS = 2000, SPARE_PERMILLE = 100 };

struct fleet_lease {
    struct etcd *etcd;
    struct fleet_lease_wish wish;
    int64_t id;        /* 0: not granted yet */
    int64_t until_ms;  /* it holds until then, CLOCK_BOOTTIME */
    int64_t renew_ms;  /* the next renewal, CLOCK_BOOTTIME */
    bool asking;       /* a request for it is under way */
    bool lost;         /* told, or nobody is to be told */
    bool ended;        /* by its user */
    bool revoking;     /* the last request */
    struct fleet_lease *next;
};

struct fleet_lease *etcd_lease(struct fleet_store *store, const struct fleet_lease_wish *wish)
{
    struct etcd *etcd = etcd_of(store);
    struct fleet_lease *lease = calloc(1, sizeof(*lease));
    if (!lease)
        return NULL;
    lease->etcd = etcd;
    lease->wish = *wish;
    lease->next = etcd->leases;
    etcd->leases = lease;
    exchanges_wake_up(etcd->exchanges);
    return lease;
}

int64_t etcd_lease_left_ms(struct fleet_store *store, const struct fleet_lease *lease)
{
    int64_t left_ms = lease->until_ms - clock_boottime_ms();
    return lease->id && !lease->lost && left_ms > 0 ? left_ms : 0;
}

void etcd_end_lease(struct fleet_store *store, struct fleet_lease *lease)
{
    lease->ended = true;
    exchanges_wake_up(etcd_of(store)->exchanges);
}

static void lose(struct fleet_lease *lease, const struct fleet_error *error)
{
    if (!lease->lost && !lease->ended)
        lease->wish.lost(lease->wish.user, error);
    lease->lost = true;
}

/* Of a grant as of a renewal. */
static int take(void *user, const json_t *answer, int64_t sent_ms)
{
    struct fleet_lease *lease = user;
    int64_t id, ttl_s;
    int r = answer_lease(answer, &id, &ttl_s);
    if (r == 0 && ((lease->id && id != lease->id) || (!lease->id && ttl_s == 0)))
        r = -EBADMSG;
    if (r < 0)
        return r;
    if (ttl_s == 0) {
        lose(lease, &(struct fleet_error){.number = ENOENT, .text = "the lease has ended in etcd"});
        return 0;
    }
    if (ttl_s > lease->wish.ttl_s)
        ttl_s = lease->wish.ttl_s; /* no longer than was asked for, whatever it says */
    lease->until_ms = sent_ms + ttl_s * (1000 - SPARE_PERMILLE);
    lease->renew_ms = sent_ms + ttl_s * 1000 / 3;
    if (!lease->id) {
        lease->id = id;
        if (!lease->ended)
            lease->wish.granted(lease->wish.user, id);
    }
    return 0;
}

static void ended(void *user, const struct fleet_error *error)
{
    struct fleet_lease *lease = user;
    lease->asking = false;
    if (error->number && (!lease->id || error->number == ENOENT))
        lose(lease, error);
    else if (error->number) /* it is tried again as long as it holds */
        lease->renew_ms = clock_boottime_ms() + (int64_t)lease->wish.ttl_s * 100;
}

static int take_nothing(void *user, const json_t *answer, int64_t sent_ms)
{
    return 0;
}

/* Whatever came of it: it is not renewed any more. */
static void revoked(void *user, const struct fleet_error *error)
{
    struct fleet_lease *lease = user;
    lease->asking = false;
    lease->lost = true;
}

static void drop(void *user)
{
}

static void ask(struct fleet_lease *lease, const char *path, char *body, int64_t timeout_ms)
{
    lease->asking = etcd_call_begin(lease->etcd, &(struct etcd_call_wish){
        .path = path,
        .body = body,
        .urgent = true,
        .timeout_ms = timeout_ms > 0 ? (unsigned int)timeout_ms : 0,
        .take = lease->revoking ? take_nothing : take,
        .ended = lease->revoking ? revoked : ended,
        .drop = drop,
        .user = lease,
    }) == 0;
}

static void tend(struct fleet_lease *lease, int64_t now_ms)
{
    int64_t left_ms = lease->until_ms - now_ms;
    if (lease->id && left_ms <= 0)
        lose(lease, &(struct fleet_error){.number = ETIMEDOUT, .text = "the lease could not be renewed in its time"});
    if (lease->asking || lease->lost)
        return;
    if (lease->ended) {
        lease->revoking = lease->id;
        if (lease->id)
            ask(lease, "lease/revoke", question_lease(lease->id), left_ms > REVOKE_LEAST_MS ? left_ms : REVOKE_LEAST_MS);
        lease->lost = lease->lost || !lease->asking;
    } else if (!lease->id) {
        ask(lease, "lease/grant", question_grant(lease->wish.ttl_s), lease->wish.timeout_ms);
        if (!lease->asking)
            lose(lease, &(struct fleet_error){.number = ENOMEM, .text = "memory is short"});
    } else if (now_ms >= lease->renew_ms) {
        ask(lease, "lease/keepalive", question_lease(lease->id), left_ms);
    }
}

static void free_ended(struct etcd *etcd)
{
    struct fleet_lease **link = &etcd->leases;
    while (*link) {
        struct fleet_lease *lease = *link;
        if (!lease->ended || !lease->lost || lease->asking) {
            link = &lease->next;
            continue;
        }
        *link = lease->next;
        free(lease);
    }
}

int64_t etcd_leases_tend(struct etcd *etcd)
{
    int64_t now_ms = clock_boottime_ms(), next_ms = INT64_MAX;
    for (struct fleet_lease *lease = etcd->leases; lease; lease = lease->next) {
        tend(lease, now_ms);
        if (lease->lost || !lease->id)
            continue;
        int64_t wake_ms = lease->asking || lease->until_ms < lease->renew_ms ? lease->until_ms : lease->renew_ms;
        next_ms = wake_ms < next_ms ? wake_ms : next_ms;
    }
    free_ended(etcd);
    return next_ms == INT64_MAX ? next_ms : clock_monotonic_ms() + next_ms - now_ms;
}

void etcd_leases_drop(struct etcd *etcd)
{
    while (etcd->leases) {
        struct fleet_lease *lease = etcd->leases;
        etcd->leases = lease->next;
        free(lease);
    }
}
