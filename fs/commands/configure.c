#include "fs/commands/configure.h"

#include "fs/log.h"

static int override(const struct configure_words *words, struct config *config)
{
    const struct {
        const char *name, *value;
        int (*set)(struct config *config, const char *value, char *reason, size_t size);
    } overrides[] = {
        {"--region", words->region, config_set_region},
        {"--endpoint", words->endpoint, config_set_endpoint},
        {"--state", words->state, config_set_state},
        {"--state-key", words->state_key, config_set_state_key},
    };
    for (size_t i = 0; i < sizeof(overrides) / sizeof(overrides[0]); i++) {
        char reason[640];
        int r = overrides[i].value
                    ? overrides[i].set(config, overrides[i].value, reason, sizeof(reason))
                    : 0;
        if (r < 0) {
            log_error("%s: %s", overrides[i].name, reason);
            return r;
        }
    }
    return 0;
}

int configure(const struct configure_words *words, struct config *config)
{
    char reason[640];
    int r = config_read(words->file, config, reason, sizeof(reason));
    if (r < 0) {
        log_error("configuration: %s", reason);
        return r;
    }
    r = override(words, config);
    if (r < 0)
        config_clear(config);
    return r;
}
