/*
 * Signed requests out, answers in: curl-multi, names, retries, deadlines. Knows HTTP and the V3
 * signature, nothing of single operations.
 *
 * One thread (the engine's) calls everything but transport_wake_up, which any thread may call.
 * Callbacks come from inside transport_run.
 *
 * Deadlines are the transport's own timers: at a deadline the caller is answered, whatever libcurl
 * or a nameserver is doing, and the transfer is dropped or parked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmsapi/acs3.h"
#include "kmsapi/credentials/credentials.h"
#include "kmsapi/kms_error.h"

struct transport;

struct transport_options {
    const char *endpoint;       /* "https://HOST[:PORT]"; "http://" only for a loopback literal */
    const char *ca_file;        /* NULL: the system's */
    const char *proxy;          /* its URL; NULL or "": from the environment, as proxy.h says */
    const char *user_agent;
    size_t response_limit;      /* bytes of body; 0: 1 MiB */
    /*
     * The credentials to sign with, asked for each attempt; must not block. 0; -EAGAIN: not yet, the request waits for
     * transport_wake_up or its deadline; any other negative errno: it fails with REASON.
     */
    int (*get_credentials)(void *user, struct credentials *credentials, char *reason, size_t size);
    /*
     * KMS refused the credentials with this serial. True: it is worth asking for others, and a request that was refused
     * for them is sent once more with those, of whatever kind: KMS did nothing. NULL: it never is.
     */
    bool (*credentials_refused)(void *user, uint64_t serial);
    void *get_credentials_user;
};

enum transport_kind {
    TRANSPORT_READ,   /* changes nothing: connections are reused, any failure may be retried */
    TRANSPORT_CREATE, /* fresh connection, never reused, never sent again once it may have arrived */
    TRANSPORT_WRITE,  /* can be repeated harmlessly (a deletion): fresh connection, retried */
};

struct transport_request {
    enum transport_kind kind;
    const char *method;    /* "GET" or "POST" */
    const char *operation; /* x-acs-action */
    const char *version;   /* x-acs-version */
    const struct acs3_pair *query; /* copied; sent in the URL, body empty, as the SDKs do */
    size_t query_count;
    const char *password;  /* what must not stand in an error text, or NULL; copied */
    unsigned int timeout_ms; /* from now to the answer, retries included */
    void (*drop)(void *user); /* frees USER when there will be no answer; NULL: nothing to free */
    /*
     * A request that may have arrived when its time is up is not given up: PARKED is called, and its answer is
     * taken for PARK_MS more. NULL: it is given up.
     */
    void (*parked)(void *user);
    unsigned int park_ms;
    bool dated; /* what it says was chosen by the clock: one that was wrong is told, and the request not repeated */
};

struct transport_answer {
    struct kms_error error; /* number 0: HTTP 2xx, body complete */
    const char *body;       /* NUL-terminated; NULL without one; wiped after the callback */
    size_t size;
    int64_t server_date;    /* the Date header, seconds since 1970; 0 without one */
    bool time_was_wrong;    /* the attempt was signed for another time than that */
    int64_t sent_at_ms, received_at_ms; /* CLOCK_REALTIME around the attempt that was answered */
    unsigned int attempts;  /* requests that were begun; 0: none reached the wire */
};

typedef void transport_done(void *user, const struct transport_answer *answer);

/* 0, or negative errno and REASON: a bad endpoint (-EINVAL), curl (-ENOMEM). */
int transport_new(const struct transport_options *options, struct transport **transport,
                  char *reason, size_t size);
/* Drops what is under way: instead of their callbacks the requests' DROP are called. */
void transport_free(struct transport *transport);

/*
 * Begins REQUEST. DONE(USER, answer) is called exactly once, from transport_run. 0 or -ENOMEM (DONE
 * is not called then).
 */
int transport_start(struct transport *transport, const struct transport_request *request,
                    transport_done *done, void *user);

/*
 * Works for at most TIMEOUT_MS (-1: until there is something to do), returning after a wake-up, a
 * callback, or the time.
 */
void transport_run(struct transport *transport, int timeout_ms);

enum { TRANSPORT_WATCHED_MOST = 4 };

/* From here on transport_run returns as well when DESCRIPTOR is readable; that many at the most. */
void transport_watch(struct transport *transport, int descriptor);

/* Makes transport_run return soon. Any thread. */
void transport_wake_up(struct transport *transport);
