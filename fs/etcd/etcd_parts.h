/*
 * The inside of what etcd.h makes. The room's own; the engine's thread.
 */
#pragma once

#include "fs/etcd/answers.h"
#include "fs/etcd/endpoints.h"
#include "fs/etcd/etcd.h"
#include "fs/etcd/exchange.h"
#include "kmsapi/base/resolve.h"

/* One try, and how long connecting may take of it. */
enum { ETCD_ATTEMPT_MS = 4000, ETCD_CONNECT_MS = 2500, ETCD_ANSWER_MOST = 16 << 20 };

/* Who we are to etcd. */
struct etcd_token {
    char text[ANSWER_TOKEN_SIZE]; /* "": none yet */
    uint64_t serial;              /* of TEXT */
    bool wanted, asking;
    bool off; /* etcd has no users: nothing is sent */
    struct fleet_error error; /* why there is none; number 0: that is not known yet */
    bool refused;             /* for a reason that time does not mend */
    unsigned int failures;    /* in a row */
    int64_t again_ms;         /* when to ask next; CLOCK_MONOTONIC */
};

struct etcd {
    struct fleet_store store; /* what users hold: the first member */
    struct exchange_files files;
    char *user, *password_file;
    unsigned int renew_ms;
    struct endpoints endpoints;
    struct exchanges *exchanges;
    struct resolver *resolver;
    struct etcd_token token;
    struct etcd_call *calls;
    struct fleet_watch *watches;
    struct fleet_lease *leases;
};

static inline struct etcd *etcd_of(struct fleet_store *store)
{
    return (struct etcd *)store;
}
