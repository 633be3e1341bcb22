/*
 * Where the emulator listens: a numeric loopback address and a port. Pure, any thread.
 */
#ifndef AAPFS_EMULATOR_LISTEN_ADDRESS_H
#define AAPFS_EMULATOR_LISTEN_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

/* "127.0.0.1:PORT" or "[::1]:PORT"; port 0: any that is free. 0, or -EINVAL and REASON. */
int listen_address_parse(const char *text, struct sockaddr_storage *address, socklen_t *address_size,
                         char *reason, size_t size);

#endif
