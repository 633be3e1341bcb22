/*
 * One request on its way: its attempts, from the name that is looked up to an answer or the end of its time. The transport's
 * own, on its thread: transport.c says when.
 */
#pragma once

#include <time.h>

#include "kmsapi/base/resolve.h"
#include "kmsapi/base/throttle.h"
#include "kmsapi/transport_request.h"

/* The way to KMS, which all requests share, and what its answers taught of it. */
struct route {
    struct transport_options options;
    struct endpoint endpoint;
    struct proxy proxy; /* host "": none */
    struct resolver *resolver;
    CURLM *multi;
    int64_t clock_offset_s; /* KMS's time, by the Date of its last answer, minus ours */
    struct throttle throttle;
};

enum transfer_state {
    TRANSFER_BEGINS, TRANSFER_RESOLVING, TRANSFER_UNSIGNED, /* there are no credentials yet */
    TRANSFER_RUNNING, TRANSFER_WAITING, TRANSFER_DONE,
};

struct transfer {
    struct transport_request request; /* its texts are in TEXTS */
    struct acs3_pair *query;
    char *texts;
    size_t texts_size;
    transport_done *done;
    void *user;
    enum transfer_state state;
    bool parked; /* past its own deadline: what comes is taken, nothing is sent again */
    int64_t deadline_ms, again_ms; /* CLOCK_MONOTONIC */
    int64_t begun_ms;   /* when the attempt went */
    unsigned int round; /* of the transport's, when it was tried last */
    bool held;          /* it would have gone before, but for the throttle */
    int64_t signed_offset_s; /* the clock's, when the attempt was signed */
    uint64_t signed_by;      /* the serial of its credentials */
    bool refused;            /* those were, by KMS: once is enough */
    struct attempt attempt;
    struct transport_answer answer;
    struct kms_error earlier; /* what the attempt before ended with */
    struct transfer *next;
};

int64_t transfer_clock_ms(clockid_t clock);

/* With a copy of REQUEST and of all its texts; its time runs. NULL: memory is short. */
struct transfer *transfer_new(const struct transport_request *request, transport_done *done, void *user);

/* Wipes and frees, and drops what is under way. */
void transfer_free(struct route *route, struct transfer *transfer);

/* Begins an attempt, or looks again whether what it waits for has come. */
void transfer_begin(struct route *route, struct transfer *transfer);

/* The attempt's handle ended with CODE: the transfer is done, or waits to be repeated. */
void transfer_ended(struct route *route, struct transfer *transfer, CURLcode code);

/* Its deadline has come: it is done or, where its answer is still waited for, parked with a later one. */
void transfer_time_is_up(struct route *route, struct transfer *transfer);
