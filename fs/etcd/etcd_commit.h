/*
 * fleet_commit of etcd: one transaction. The room's own.
 */
#pragma once

#include "fs/etcd/fleet_store.h"

int etcd_commit(struct fleet_store *store, const struct fleet_commit *commit);
