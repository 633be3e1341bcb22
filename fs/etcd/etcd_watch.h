/*
 * fleet_watch of etcd: one stream after the other, each from where the one before has come to. The room's own.
 */
#pragma once

#include "fs/etcd/etcd_parts.h"

struct fleet_watch *etcd_watch(struct fleet_store *store, const struct fleet_watch_wish *wish);
void etcd_end_watch(struct fleet_store *store, struct fleet_watch *watch);

/* When to come again, CLOCK_MONOTONIC. */
int64_t etcd_watches_tend(struct etcd *etcd);

void etcd_watches_drop(struct etcd *etcd);
