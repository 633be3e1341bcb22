/*
 * HTTP requests that run beside whatever else the engine's thread does. Knows curl, and nothing of etcd. That thread alone.
 *
 * They have a multi handle of their own, whose sockets are behind one descriptor (epoll) for transport_watch, and do not
 * share that of kmsapi's transport. Either way one thread does it all; but so kmsapi knows nothing of fleets, a stream that
 * floods us, or a fault here, is no affair of the requests to KMS, nothing of it exists without [fleet], and whoever has no
 * transport (a test, `check`) can poll(2) instead.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

struct exchanges;

/* TLS: files that are read at each connection, so that renewed ones are used; "": the system's, or none. */
struct exchange_files {
    const char *ca, *certificate, *key;
};

struct exchange_request {
    const char *url;
    const char *resolve; /* "HOST:PORT:ADDRESSES"; NULL: the URL has an address */
    const char *body;    /* JSON, for a POST */
    const char *token;   /* of the Authorization header; NULL: none */
    size_t limit;        /* bytes of the answer's body that may lie here */
    unsigned int connect_ms, whole_ms; /* WHOLE_MS 0: it does not end by itself */
    bool fresh;          /* not on a connection that was used before: it may be dead */
};

/* Zeroed: none. It stays where it is from exchange_begin to exchange_clear. */
struct exchange {
    CURL *easy;
    struct curl_slist *headers, *resolve;
    char detail[CURL_ERROR_SIZE];
    char *body; /* what came, with a NUL behind it */
    size_t size, room, limit;
    size_t taken, looked; /* the lines that were taken, and what was looked through for the end of the next one */
    size_t headers_size;
    bool too_large;
    bool ended; /* by CODE */
    CURLcode code;
};

/* NULL: memory or descriptors are short. */
struct exchanges *exchanges_new(const struct exchange_files *files);
void exchanges_free(struct exchanges *exchanges);

/* Readable: exchanges_tend has something to do. */
int exchanges_descriptor(const struct exchanges *exchanges);

/* Makes it readable. Any thread. */
void exchanges_wake_up(struct exchanges *exchanges);

/* Reads and writes what can be now, and forgets wake-ups. */
void exchanges_tend(struct exchanges *exchanges);

/* When to tend them again, CLOCK_MONOTONIC in milliseconds. */
int64_t exchanges_next_ms(const struct exchanges *exchanges);

/* 0 or -ENOMEM. */
int exchange_begin(struct exchanges *exchanges, const struct exchange_request *request, struct exchange *exchange);

/* Safe on a zeroed struct, and on one that has not ended. */
void exchange_clear(struct exchanges *exchanges, struct exchange *exchange);

/* The HTTP status of what comes; 0: nothing has come yet. */
long exchange_status(const struct exchange *exchange);

/* Whether the request, or a part of it, may have left this machine. */
bool exchange_maybe_sent(const struct exchange *exchange);

/*
 * The next whole line of what has come, without its end, *LENGTH bytes: valid until exchange_took_line. NULL: there is none
 * yet.
 */
const char *exchange_line(struct exchange *exchange, size_t *length);
void exchange_took_line(struct exchange *exchange);
