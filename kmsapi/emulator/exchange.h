/*
 * One request and its answer, between HTTP and KMS: what server.c hands in and sends. A
 * connection's thread.
 */
#pragma once

#include <pthread.h>

#include "kmsapi/emulator/reply.h"
#include "kmsapi/emulator/request.h"
#include "kmsapi/emulator/server.h"

/* How the answer goes out. */
enum exchange_end {
    EXCHANGE_ANSWER,
    EXCHANGE_TRUNCATE, /* half of it */
    EXCHANGE_GARBAGE,
    EXCHANGE_HUGE,
    EXCHANGE_DROP,     /* the connection, without an answer */
};

/* Counts and records, shared by all exchanges. */
struct exchange_log {
    pthread_mutex_t lock;
    json_t *counts; /* by operation */
    FILE *record;
};

/*
 * Waits MS milliseconds (-1: without end), for the server to stop or, unless DEAF, for the client to hang up; false
 * for the latter two.
 */
typedef bool exchange_wait(void *user, int ms, bool deaf);

/* Fills REPLY unless it returns EXCHANGE_DROP. */
enum exchange_end exchange_run(const struct server_parts *parts, struct exchange_log *log,
                               struct request *request, exchange_wait *wait, void *user,
                               struct reply *reply);
