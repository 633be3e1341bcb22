/*
 * One try of a request to etcd, at the member of now. The room's own.
 */
#pragma once

#include "fs/etcd/etcd_parts.h"
#include "fs/etcd/trouble.h"

struct etcd_question {
    const char *path; /* below /v3/ */
    const char *body;
    bool open;        /* goes without a token */
    bool stream;      /* its answer has no end; on a connection of its own */
    bool fresh;       /* not on one that was used before */
};

/* Zeroed: none. Stays where it is while it runs. */
struct etcd_attempt {
    struct exchange exchange;
    size_t member;
    uint64_t token;  /* the serial of the one it came with; 0: none */
    int64_t sent_ms; /* before it went, CLOCK_BOOTTIME */
    unsigned int failed; /* the member's failures, in all, before it */
};

enum etcd_begun {
    ETCD_BEGUN,
    ETCD_LATER, /* look again at each turn, and at *AGAIN_MS (CLOCK_MONOTONIC); TROUBLE, where it has a number, says why */
    ETCD_NOT,   /* TROUBLE says why not */
};

enum etcd_begun etcd_attempt_begin(struct etcd *etcd, const struct etcd_question *question, struct etcd_attempt *attempt,
                                   int64_t *again_ms, struct trouble *trouble);

/* The URL of its member. */
const char *etcd_attempt_url(const struct etcd *etcd, const struct etcd_attempt *attempt);

/* The exchange has ended: false: TROUBLE says why that is no answer. */
bool etcd_attempt_is_answered(const struct etcd *etcd, const struct etcd_attempt *attempt, struct trouble *trouble);

/* Tells those who choose members and ask for tokens what became of it. */
void etcd_attempt_answered(struct etcd *etcd, const struct etcd_attempt *attempt);
void etcd_attempt_failed(struct etcd *etcd, const struct etcd_attempt *attempt, const struct trouble *trouble);

/* Another member is asked before its one is again. */
void etcd_attempt_blame(struct etcd *etcd, const struct etcd_attempt *attempt);

void etcd_attempt_clear(struct etcd *etcd, struct etcd_attempt *attempt);
