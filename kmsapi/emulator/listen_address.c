#include "kmsapi/emulator/listen_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int listen_address_parse(const char *text, struct sockaddr_storage *address, socklen_t *address_size,
                         char *reason, size_t size)
{
    char host[64] = "";
    unsigned int port = 0;
    int used = 0;
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)(void *)address;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)(void *)address;
    memset(address, 0, sizeof(*address));
    if ((sscanf(text, "[%63[0-9a-f:]]:%5u%n", host, &port, &used) == 2 ||
         sscanf(text, "%63[0-9.]:%5u%n", host, &port, &used) == 2) &&
        !text[used] && port <= 65535) {
        if (inet_pton(AF_INET, host, &ipv4->sin_addr) == 1 &&
            ntohl(ipv4->sin_addr.s_addr) >> 24 == 127) {
            ipv4->sin_family = AF_INET;
            ipv4->sin_port = htons((in_port_t)port);
            *address_size = sizeof(*ipv4);
            return 0;
        }
        memset(address, 0, sizeof(*address));
        if (inet_pton(AF_INET6, host, &ipv6->sin6_addr) == 1 &&
            IN6_IS_ADDR_LOOPBACK(&ipv6->sin6_addr)) {
            ipv6->sin6_family = AF_INET6;
            ipv6->sin6_port = htons((in_port_t)port);
            *address_size = sizeof(*ipv6);
            return 0;
        }
    }
    snprintf(reason, size, "--listen %.100s: expected a loopback address and a port, as 127.0.0.1:0",
             text);
    return -EINVAL;
}
