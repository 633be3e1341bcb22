/*
 * fleet_lease of etcd: granted, kept alive, revoked. The room's own.
 */
#pragma once

#include "fs/etcd/etcd_parts.h"

struct fleet_lease *etcd_lease(struct fleet_store *store, const struct fleet_lease_wish *wish);
int64_t etcd_lease_left_ms(struct fleet_store *store, const struct fleet_lease *lease);
void etcd_end_lease(struct fleet_store *store, struct fleet_lease *lease);

/* When to come again, CLOCK_MONOTONIC. */
int64_t etcd_leases_tend(struct etcd *etcd);

void etcd_leases_drop(struct etcd *etcd);
