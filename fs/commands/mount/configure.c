#include "fs/commands/mount/configure.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/base/kernel_calls.h"
#include "fs/base/log.h"
#include "fs/base/reason.h"
#include "fs/commands/mount/find_region.h"
#include "fs/fleet/fleet_key.h"
#include "kmsapi/cleanup.h"

enum { READ_MS = 10000 };

static int override(const struct configure_words *words, struct config *config, char *reason, size_t size)
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
        char why[256];
        int r = overrides[i].value ? overrides[i].set(config, overrides[i].value, why, sizeof(why)) : 0;
        if (r < 0)
            return reason_give(reason, size, r, "%s: %s", overrides[i].name, why);
    }
    return 0;
}

/* Each worker reads it; whether it can is known before there is a mount. */
static int try_fleet_key(const struct config *config, char *reason, size_t size)
{
    unsigned char key[SEAL_KEY_SIZE];
    char why[512];
    int r = config->fleet.etcd_count > 0 ? fleet_key_read(&config->fleet, key, why, sizeof(why)) : 0;
    OPENSSL_cleanse(key, sizeof(key));
    return r < 0 ? reason_give(reason, size, r, "%s: %s", config->file, why) : 0;
}

/* COPY -1: from the file itself. */
static int read_all(const struct configure_words *words, int copy, struct config *config, char *reason, size_t size)
{
    int r = copy < 0 ? config_read(words->file, config, reason, size)
                     : config_read_copy(words->file, copy, config, reason, size);
    if (r < 0)
        return r;
    r = override(words, config, reason, size);
    if (r == 0)
        r = try_fleet_key(config, reason, size);
    if (r == 0 && !config->region[0] && words->found_region[0])
        r = config_set_region(config, words->found_region, reason, size);
    if (r < 0)
        config_clear(config);
    return r;
}

/*
 * Users and groups are looked up as long as their database likes: a child tries that first. What it can read within a
 * while, this process reads as well.
 */
static int try_to_read(const struct configure_words *words, char *reason, size_t size)
{
    struct config config;
    pid_t child = fork();
    if (child < 0)
        return 0; /* then it takes what it takes */
    if (child == 0) {
        (void)read_all(words, -1, &config, reason, size);
        _exit(0);
    }
    _cleanup_(close) int ended = kernel_pidfd_open(child);
    struct pollfd polled = {.fd = ended, .events = POLLIN};
    int ready = ended < 0 ? 1 : poll(&polled, 1, READ_MS);
    if (ready == 0)
        kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    if (ready != 0)
        return 0;
    return reason_give(reason, size, -ETIMEDOUT, "it was not read within %d s, perhaps since users and groups are "
                       "looked up slowly (nsswitch.conf(5)); give numbers instead of names", READ_MS / 1000);
}

int configure(struct configure_words *words, struct config *config)
{
    return configure_from_copy(words, -1, config);
}

int configure_from_copy(struct configure_words *words, int copy, struct config *config)
{
    char reason[640];
    int r = copy < 0 ? try_to_read(words, reason, sizeof(reason)) : 0;
    if (r == 0)
        r = read_all(words, copy, config, reason, sizeof(reason));
    if (r < 0)
        return log_failure(r, "configuration: %s", reason);
    if (config->region[0])
        return 0;
    r = find_region(config, reason, sizeof(reason));
    if (r < 0) {
        log_error("%s", reason);
        config_clear(config);
        return r;
    }
    strcpy(words->found_region, config->region);
    return 0;
}

static int read_again(const struct configurer *configurer, int copy, struct config *config, char *reason, size_t size)
{
    return read_all(configurer->words, copy, config, reason, size);
}

struct configurer configure_again(const struct configure_words *words)
{
    return (struct configurer){.read = read_again, .file = words->file, .words = words};
}

char *configure_whole_path(const char *path)
{
    _cleanup_(free) char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    char *whole;
    if (path[0] == '/')
        return strdup(path);
    return here && asprintf(&whole, "%s/%s", here, path) >= 0 ? whole : NULL;
}
