/*
 * A request to etcd until it is answered, by whichever member, or its time is up. The room's own.
 */
#pragma once

#include "fs/etcd/etcd_parts.h"

struct etcd_call_wish {
    const char *path; /* below /v3/; static */
    char *body;       /* given away, also on failure; NULL: memory was short */
    bool change;      /* without an answer it may have been carried out */
    bool open;        /* goes without a token */
    bool urgent;      /* however many others are under way */
    unsigned int timeout_ms;
    /*
     * Takes ANSWER, to what was sent after SENT_MS (CLOCK_BOOTTIME). 0; -EBADMSG: it is none, and another member is asked;
     * -EMSGSIZE never. May call anything.
     */
    int (*take)(void *user, const json_t *answer, int64_t sent_ms);
    /* Once, at the end: ERROR's number is 0 after TAKE has returned 0. */
    void (*ended)(void *user, const struct fleet_error *error);
    void (*drop)(void *user); /* in its place, when nobody waits any more */
    void *user;
};

/* 0 or -ENOMEM; TAKE and ENDED are called from etcd_calls_tend only. */
int etcd_call_begin(struct etcd *etcd, const struct etcd_call_wish *wish);

/* When to come again, CLOCK_MONOTONIC. */
int64_t etcd_calls_tend(struct etcd *etcd);

void etcd_calls_drop(struct etcd *etcd);
