/*
 * etcd behind fleet_store.h: from version 3.4 on, through its JSON gateway (/v3/), by HTTP/1.1 over TLS. The engine's thread
 * drives it: fleet_descriptor is one for transport_watch, fleet_tend is called each time around. exchange.h says why.
 *
 * A request goes to one member and, while it is not answered, to the others, until its time is up. Reads are linearizable.
 * Every request asks for a member that has a leader. A watch is begun anew twice a minute or so, from where it is, on a
 * connection of its own, and at once when anything else had trouble with its member: a stream that is still open and will
 * never bring anything, because somebody on the way has stopped, looks like one on which nothing happens. (etcd's own notes of
 * progress come every ten minutes, and those that can be asked for overtake what has happened, up to 3.4.24 and 3.5.7.)
 *
 * etcd.c: what a user holds; etcd_read.c, etcd_commit.c, etcd_watch.c, etcd_lease.c: one kind of request each;
 * etcd_token.c: who we are; etcd_call.c: a request until it is answered; etcd_attempt.c: one try, at one member;
 * exchange.c: HTTP; endpoints.c, questions.c, answers.c, trouble.c: pure.
 */
#pragma once

#include "fs/etcd/fleet_store.h"

/* All of it is copied. */
struct etcd_options {
    const char *const *endpoints; /* "https://HOST:PORT"; http:// only for loopback literals */
    size_t endpoint_count;
    /* PEM files, on a local filesystem: they are read at each connection. "": the system's; none */
    const char *ca_file, *certificate, *certificate_key;
    const char *user;          /* "": none */
    const char *password_file; /* its first line; read when a token is asked for, so a new password is found */
    unsigned int renew_ms;     /* after which a watch is begun anew at the latest; 0: 30 s */
};

/* 0 and *STORE (fleet_free), or negative errno and REASON. Nothing is sent yet. */
int etcd_new(const struct etcd_options *options, struct fleet_store **store, char *reason, size_t size);
