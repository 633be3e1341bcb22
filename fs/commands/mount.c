/*
 * aapfs [OPTIONS] MOUNTPOINT
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/commands/background.h"
#include "fs/commands/commands.h"
#include "fs/commands/dev.h"
#include "fs/commands/dev_state.h"
#include "fs/commands/open_state.h"
#include "fs/commands/take_over.h"
#include "fs/config.h"
#include "fs/log.h"
#include "fs/mount/mount_point.h"
#include "fs/mount/supervisor.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/wiping_memory.h"

/* A mount is ready at once; this long it may wait for its directories. */
enum { FIRST_LISTING_TIMEOUT_MS = 800, DEV_LISTING_TIMEOUT_MS = 10000 };

static const char usage[] =
    "usage: aapfs [-f] [-c FILE] [--region REGION] [--endpoint URL] [--state DIRECTORY]\n"
    "             [--state-key FILE] [-o OPTIONS] MOUNTPOINT\n"
    "       aapfs --dev [-f] [-o OPTIONS] MOUNTPOINT\n"
    "       aapfs create|rotate [-m MOUNTPOINT] [--password-file FILE|-] AAP\n"
    "       aapfs delete [-m MOUNTPOINT] AAP CLIENT_KEY_ID\n"
    "       aapfs status [-m MOUNTPOINT] [--json]\n"
    "       aapfs upgrade [-m MOUNTPOINT]\n";

struct mount_arguments {
    bool foreground, dev;
    const char *file, *region, *endpoint, *state, *state_key, *mountpoint;
    char *options; /* every -o, joined */
    const struct handover *handover; /* from the version before; NULL: none */
};

static int add_options(struct mount_arguments *arguments, const char *more)
{
    char *joined;
    if (asprintf(&joined, "%s%s%s", arguments->options ? arguments->options : "",
                 arguments->options ? "," : "", more) < 0)
        return -ENOMEM;
    free(arguments->options);
    arguments->options = joined;
    return 0;
}

/* 0: go on; 1: done, as --help; 2: wrong. */
static int parse(int count, char **words, struct mount_arguments *arguments)
{
    static const struct option options[] = {
        {"region", required_argument, NULL, 'R'},  {"endpoint", required_argument, NULL, 'E'},
        {"state", required_argument, NULL, 'S'},   {"state-key", required_argument, NULL, 'K'},
        {"help", no_argument, NULL, 'h'},          {"version", no_argument, NULL, 'V'},
        {"config", required_argument, NULL, 'c'},  {"dev", no_argument, NULL, 'D'},
        {0},
    };
    int option;
    while ((option = getopt_long(count, words, "fc:o:h", options, NULL)) != -1) {
        switch (option) {
        case 'f':
            arguments->foreground = true;
            break;
        case 'D':
            arguments->dev = true;
            break;
        case 'c':
            arguments->file = optarg;
            break;
        case 'o':
            if (add_options(arguments, optarg) < 0)
                return 2;
            break;
        case 'R':
            arguments->region = optarg;
            break;
        case 'E':
            arguments->endpoint = optarg;
            break;
        case 'S':
            arguments->state = optarg;
            break;
        case 'K':
            arguments->state_key = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return 1;
        case 'V':
            puts("aapfs " AAPFS_VERSION);
            return 1;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    int left = count - optind; /* mount(8) puts a source in front */
    if (left != 1 && left != 2) {
        fputs(usage, stderr);
        return 2;
    }
    arguments->mountpoint = words[count - 1];
    if (arguments->dev && (arguments->file || arguments->region || arguments->endpoint ||
                           arguments->state || arguments->state_key)) {
        fputs("aapfs: --dev has a KMS and a state of its own: it goes with none of -c, --region, "
              "--endpoint, --state and --state-key\n", stderr);
        return 2;
    }
    return 0;
}

/* What the command line says in place of the file. */
static int override(const struct mount_arguments *arguments, struct config *config)
{
    const struct {
        const char *name, *value;
        int (*set)(struct config *config, const char *value, char *reason, size_t size);
    } overrides[] = {
        {"--region", arguments->region, config_set_region},
        {"--endpoint", arguments->endpoint, config_set_endpoint},
        {"--state", arguments->state, config_set_state},
        {"--state-key", arguments->state_key, config_set_state_key},
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

static int configure(const struct mount_arguments *arguments, struct config *config)
{
    char reason[640];
    if (arguments->dev) {
        config_defaults(config);
        return 0;
    }
    int r = config_read(arguments->file, config, reason, sizeof(reason));
    if (r < 0) {
        log_error("configuration: %s", reason);
        return r;
    }
    r = override(arguments, config);
    if (r < 0)
        config_clear(config);
    return r;
}

static int serve_in(const struct state_places *places, const struct config *config,
                    const struct mount_arguments *arguments, const struct dev_kms *kms, int ready)
{
    const struct mount_words words = {arguments->file, arguments->region, arguments->endpoint,
                                      arguments->mountpoint};
    static char *command[ARGUMENTS_MOST]; /* for as long as the process lives */
    struct state state;
    struct supervisor_parts parts = {
        .config = config,
        .state = &state,
        .mountpoint = arguments->mountpoint,
        .options = arguments->options,
        .ready = ready,
        .credentials = kms ? &kms->credentials : NULL,
        .first_listing_timeout_ms = kms ? DEV_LISTING_TIMEOUT_MS : FIRST_LISTING_TIMEOUT_MS,
        .to_syslog = !arguments->foreground,
        .arguments = command,
    };
    int r = kms ? 0 : take_over_command(&words, command, &parts.executable);
    if (r < 0) {
        log_error("start: %s", strerror(-r));
        return 1;
    }
    if (arguments->handover)
        return take_over(&parts, &state, arguments->handover);
    int status = open_state(places, config->region, &state);
    if (status != 0)
        return status;
    status = supervisor_run(&parts);
    state_close(&state);
    return status;
}

static int serve(const struct config *config, const struct mount_arguments *arguments, int ready)
{
    struct state_places places;
    char reason[256];
    if (state_places_find(config->state, config->state_key, &places, reason, sizeof(reason)) < 0) {
        log_error("%s", reason);
        return 2;
    }
    return serve_in(&places, config, arguments, NULL, ready);
}

static int serve_dev(struct config *config, const struct mount_arguments *arguments, int ready)
{
    char reason[640];
    struct dev_kms kms;
    struct dev_state state;
    int status = 1;
    if (dev_kms_start(&kms) < 0)
        return 1;
    if (config_set_endpoint(config, kms.endpoint, reason, sizeof(reason)) < 0) {
        log_error("--dev: %s", reason);
    } else if (dev_state_make(&state) == 0) {
        status = serve_in(&state.places, config, arguments, &kms, ready);
        dev_state_remove(&state);
    }
    dev_kms_stop(&kms);
    return status;
}

static int run(struct config *config, struct mount_arguments *arguments)
{
    int ready = -1, status;
    char mountpoint[MOUNT_POINT_PATH_SIZE];
    _cleanup_(free) char *file = arguments->file ? realpath(arguments->file, NULL) : NULL;
    if (file)
        arguments->file = file;
    if (!arguments->foreground && !arguments->handover) {
        /* the daemon changes its directory; what is wrong with a path, mounting says */
        if (mount_point_resolve(arguments->mountpoint, mountpoint) == 0)
            arguments->mountpoint = mountpoint;
        ready = background_start(&status);
        if (ready < 0)
            return status;
    }
    if (wiping_memory_install() < 0) {
        log_error("libcurl cannot be set up");
        return 1;
    }
    return arguments->dev ? serve_dev(config, arguments, ready) : serve(config, arguments, ready);
}

int command_mount(int count, char **words)
{
    struct mount_arguments arguments = {0};
    struct config config;
    struct handover handover;
    int handed_over = handover_read(&handover);
    if (handed_over < 0) {
        fputs("aapfs: $AAPFS_HANDOVER is set, and not by a version of aapfs that this one knows\n", stderr);
        return 2;
    }
    if (handed_over > 0)
        arguments.handover = &handover;
    int status = parse(count, words, &arguments);
    if (status == 0 && configure(&arguments, &config) < 0)
        status = 2;
    else if (status == 0) {
        status = run(&config, &arguments);
        config_clear(&config);
    } else if (status == 1) {
        status = 0;
    }
    free(arguments.options);
    return status;
}
