/*
 * fleet_get of etcd: a key, or a prefix part by part, all of them of one revision. The room's own.
 */
#pragma once

#include "fs/etcd/fleet_store.h"

int etcd_read(struct fleet_store *store, const struct fleet_get *get);
