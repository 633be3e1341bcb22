/*
 * What supervisor and worker tell each other: single messages of a SOCK_SEQPACKET socket, one socket a worker.
 * Sending by any thread; each side reads in one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Supervisor and worker may be of two versions for a moment: numbers keep their meaning. */
enum worker_message_kind {
    /* from a worker */
    WORKER_LISTED = 1,        /* its first listing of the AAPs has ended, well or not */
    WORKER_SAYS = 2,          /* TEXT is for the log */
    WORKER_WANTS_UPGRADE = 3, /* somebody wrote `upgrade`: answered by WORKER_VERDICT */
    WORKER_AWAITS_VERDICT = 4, /* it has such a write from the worker before */
    WORKER_DRAINED = 5,       /* nothing is under way */
    WORKER_STANDS_BY = 6,     /* a new version's: it could serve this mount */
    WORKER_SERVES = 7,        /* it has taken over */
    WORKER_WANTS_RELOAD = 8,  /* somebody wrote `reload`: answered by WORKER_CONFIG or WORKER_RELOAD_REFUSED */
    WORKER_RELOADED = 9,      /* after WORKER_CONFIG: NUMBER 0, or an errno and why */

    /* to a worker */
    WORKER_DRAIN = 20,   /* begin nothing new; say when nothing is under way */
    WORKER_RESUME = 21,  /* go on as before */
    WORKER_LEAVE = 22,   /* end, and leave what waits in its slots */
    WORKER_GO = 23,      /* the one before is gone: take over */
    WORKER_VERDICT = 24, /* of the upgrade: NUMBER 0 or an errno, TEXT says why */
    WORKER_CONFIG = 25,  /* with a descriptor: the text of the configuration that holds from now on; NUMBER 1: a write
                            has asked for it, 0: a signal */
    WORKER_RELOAD_REFUSED = 26, /* the one before holds: NUMBER an errno, TEXT says why */

    WORKER_MESSAGE_KINDS
};

struct worker_message {
    uint32_t kind;
    int32_t number;
    char text[512];
};

/* The text is printf-like. 0 or negative errno; a socket that is full is -EAGAIN: nobody is kept waiting. */
int worker_link_send(int socket, enum worker_message_kind kind, int number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A message that is a DESCRIPTOR, which stays the caller's. As worker_link_send. */
int worker_link_send_descriptor(int socket, enum worker_message_kind kind, int number, int descriptor);

/*
 * The next message that is there. 0; -EAGAIN: none; -EPIPE: the other side is gone; -EPROTO. *DESCRIPTOR is what came
 * with it, or -1; DESCRIPTOR NULL: none is wanted.
 */
int worker_link_receive(int socket, struct worker_message *message, int *descriptor);
