/*
 * How far a connection to KMS gets: name, connection, TLS. For people who look for what is wrong; nothing is sent but
 * what the handshakes are made of. Blocks, at most for its time; any thread.
 */
#pragma once

#include <stdbool.h>

enum probe_step { PROBE_ENDPOINT, PROBE_NAME, PROBE_CONNECTION, PROBE_TLS, PROBE_ALL };

struct probe_options {
    const char *endpoint, *ca_file, *proxy; /* as in transport_options */
    unsigned int timeout_ms;
};

struct probe {
    enum probe_step failed; /* PROBE_ALL: nothing did */
    char reason[400];       /* why */
    bool tls, literal;      /* LITERAL: there was no name to look up */
    char host[254];         /* that was looked up: KMS's, or the proxy's */
    char proxy[270];        /* HOST:PORT; "": none */
    char addresses[256];    /* of the host, as many as fit */
    char peer[64];          /* the address that was connected to */
    char issuer[256], ends[64]; /* of KMS's certificate, without TLS empty */
};

void probe_run(const struct probe_options *options, struct probe *probe);
