#include "fs/etcd/configured.h"

#include "fs/etcd/etcd.h"

int configured_store(const struct config_fleet *config, struct fleet_store **store, char *reason, size_t size)
{
    const char *endpoints[CONFIG_ENDPOINTS_MOST];
    for (size_t i = 0; i < config->etcd_count; i++)
        endpoints[i] = config->etcd[i];
    const struct etcd_options options = {
        .endpoints = endpoints,
        .endpoint_count = config->etcd_count,
        .ca_file = config->ca_file,
        .certificate = config->certificate,
        .certificate_key = config->certificate_key,
        .user = config->user,
        .password_file = config->password_file,
    };
    return etcd_new(&options, store, reason, size);
}
