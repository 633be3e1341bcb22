/*
 * What supervisor and worker tell each other: single messages of a SOCK_SEQPACKET socket, one socket a worker.
 * Sending by any thread; each side reads in one.
 */
#ifndef AAPFS_FS_MOUNT_WORKER_LINK_H
#define AAPFS_FS_MOUNT_WORKER_LINK_H

#include <stdbool.h>
#include <stdint.h>

enum worker_message_kind {
    /* from a worker */
    WORKER_LISTED = 1, /* its first listing of the AAPs has ended, well or not */
    WORKER_SAYS,       /* TEXT is for the log */

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

/* The next message that is there. 0; -EAGAIN: none; -EPIPE: the other side is gone; -EPROTO. */
int worker_link_receive(int socket, struct worker_message *message);

#endif
