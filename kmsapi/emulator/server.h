/*
 * The emulator's HTTP(S) server: a thread a connection, loopback only. The main thread.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#include "kmsapi/emulator/faults.h"
#include "kmsapi/emulator/instance.h"
#include "kmsapi/emulator/sessions.h"
#include "kmsapi/emulator/operations.h"
#include "kmsapi/emulator/signature.h"

struct server;

/* Everything stays the caller's and outlives the server. */
struct server_parts {
    const struct operations *operations;
    const struct sts *sts;
    const struct metadata *metadata;
    const struct instance *instance;
    struct signatures *signatures;
    struct faults *faults;
    FILE *record;                         /* NULL: none. Gets a line of JSON a request. */
    const char *certificate_pem, *key_pem; /* NULL: no TLS */
    const struct sockaddr *address;
    socklen_t address_size;
};

/* "127.0.0.1:PORT" or "[::1]:PORT"; port 0: any that is free. 0, or -EINVAL and REASON. */
int server_parse_address(const char *text, struct sockaddr_storage *address, socklen_t *address_size,
                         char *reason, size_t size);

/* 0, or negative errno and REASON. */
int server_start(const struct server_parts *parts, struct server **server, char *reason,
                 size_t size);
unsigned int server_port(const struct server *server);
/* Ends every request and closes every connection. */
void server_stop(struct server *server);
