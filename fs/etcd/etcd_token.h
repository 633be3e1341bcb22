/*
 * The token by which etcd knows us: asked for with user and password when it is wanted, and again when etcd refuses the one
 * that we have. The room's own.
 */
#pragma once

#include "fs/etcd/etcd_parts.h"

/* When to come again, CLOCK_MONOTONIC. */
int64_t etcd_token_tend(struct etcd *etcd);
