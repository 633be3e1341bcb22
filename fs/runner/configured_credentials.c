#include "fs/runner/configured_credentials.h"

struct credentials_source_options configured_credentials(const struct config *config, struct credential_runs *runs)
{
    return (struct credentials_source_options){
        .provider = config->credentials,
        .user_agent = "aapfs/" AAPFS_VERSION,
        .ca_file = config->ca_file[0] ? config->ca_file : NULL,
        .proxy = config->proxy[0] ? config->proxy : NULL,
        .vpc_region = config->vpc ? config->region : NULL,
        .run = runs ? credential_runs_run : NULL,
        .run_user = runs,
    };
}
