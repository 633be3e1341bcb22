#include "fs/etcd/etcd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/base/reason.h"
#include "fs/etcd/etcd_call.h"
#include "fs/etcd/etcd_commit.h"
#include "fs/etcd/etcd_lease.h"
#include "fs/etcd/etcd_parts.h"
#include "fs/etcd/etcd_read.h"
#include "fs/etcd/etcd_token.h"
#include "fs/etcd/etcd_watch.h"

enum { RENEW_MS = 30000 };

static int get_descriptor(struct fleet_store *store)
{
    return exchanges_descriptor(etcd_of(store)->exchanges);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t tend(struct fleet_store *store)
{
    struct etcd *etcd = etcd_of(store);
    exchanges_tend(etcd->exchanges);
    int64_t token_ms = etcd_token_tend(etcd), watches_ms = etcd_watches_tend(etcd), leases_ms = etcd_leases_tend(etcd);
    int64_t calls_ms = etcd_calls_tend(etcd); /* and what those have begun */
    return least(least(least(calls_ms, token_ms), least(watches_ms, leases_ms)), exchanges_next_ms(etcd->exchanges));
}

static void name_changed(void *user)
{
    exchanges_wake_up(user);
}

static void free_etcd(struct fleet_store *store)
{
    struct etcd *etcd = etcd_of(store);
    resolver_free(etcd->resolver);
    etcd_calls_drop(etcd);
    etcd_watches_drop(etcd);
    etcd_leases_drop(etcd);
    exchanges_free(etcd->exchanges);
    free((char *)(uintptr_t)etcd->files.ca);
    free((char *)(uintptr_t)etcd->files.certificate);
    free((char *)(uintptr_t)etcd->files.key);
    free(etcd->user);
    free(etcd->password_file);
    OPENSSL_clear_free(etcd, sizeof(*etcd));
}

static const struct fleet_store_calls calls = {
    .get = etcd_read,
    .commit = etcd_commit,
    .watch = etcd_watch,
    .end_watch = etcd_end_watch,
    .lease = etcd_lease,
    .lease_left_ms = etcd_lease_left_ms,
    .end_lease = etcd_end_lease,
    .descriptor = get_descriptor,
    .tend = tend,
    .free = free_etcd,
};

int etcd_new(const struct etcd_options *options, struct fleet_store **store, char *reason, size_t size)
{
    struct etcd *etcd = OPENSSL_zalloc(sizeof(*etcd));
    if (!etcd)
        return reason_give(reason, size, -ENOMEM, "memory is short");
    etcd->store.calls = &calls;
    etcd->renew_ms = options->renew_ms ? options->renew_ms : RENEW_MS;
    etcd->files = (struct exchange_files){strdup(options->ca_file), strdup(options->certificate),
                                          strdup(options->certificate_key)};
    etcd->user = strdup(options->user);
    etcd->password_file = strdup(options->password_file);
    etcd->exchanges = exchanges_new(&etcd->files);
    etcd->resolver = etcd->exchanges ? resolver_new(name_changed, etcd->exchanges) : NULL;
    int r = endpoints_set(&etcd->endpoints, options->endpoints, options->endpoint_count, reason, size);
    if (r == 0 && (!etcd->files.ca || !etcd->files.certificate || !etcd->files.key || !etcd->user ||
                   !etcd->password_file || !etcd->resolver))
        r = reason_give(reason, size, -ENOMEM, "memory or descriptors are short");
    if (r < 0)
        free_etcd(&etcd->store);
    else
        *store = &etcd->store;
    return r;
}
