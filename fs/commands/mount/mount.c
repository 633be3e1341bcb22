/* aapfs [OPTIONS] MOUNTPOINT */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/usage.h"
#include "fs/commands/commands.h"
#include "fs/commands/mount/background.h"
#include "fs/commands/mount/configure.h"
#include "fs/commands/mount/dev.h"
#include "fs/commands/mount/mount_options.h"
#include "fs/commands/mount/open_state.h"
#include "fs/commands/mount/take_over.h"
#include "fs/config/config.h"
#include "fs/mount/mount_point.h"
#include "fs/supervisor/supervisor.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/wiping_memory.h"

/* A mount is ready at once, whatever KMS does. One by --dev waits for its directories: its KMS is this machine's. */
enum { DEV_LISTING_TIMEOUT_MS = 10000 };

struct mount_arguments {
    bool foreground, dev;
    struct configure_words words;
    const char *mountpoint;
    const char *source; /* "/dev/fd/N"; NULL: any other */
    int lent;           /* N; -1: it is to be mounted */
    char *options; /* every -o, joined */
    struct mount_options sorted;
    char *file;    /* the configuration's, from the root */
    const struct handover *handover; /* from the version before; NULL: none */
};

static int put_in_place(const char **place, const char *value, const char *name)
{
    if (!value)
        return 0;
    if (*place)
        return log_failure(2, "-o %s: given twice, by another option or as the source", name);
    *place = value;
    return 0;
}

/* fstab's way: a configuration in the source's place, and all else in -o. SOURCE NULL: none was given. */
static int take_options(struct mount_arguments *arguments, const char *source)
{
    struct configure_words *given = &arguments->words;
    struct mount_options *sorted = &arguments->sorted;
    char reason[256];
    if (arguments->options && mount_options_sort(arguments->options, sorted, reason, sizeof(reason)) < 0)
        return log_failure(2, "%s", reason);
    bool is_name = source && (strcmp(source, "aapfs") == 0 || strcmp(source, "none") == 0);
    if (source && !is_name && (source[0] != '/' || strncmp(source, "/dev/", 5) == 0))
        return log_failure(2, "%s: no command, and no source of a mount: that is the configuration by its path from the "
                              "root, or aapfs, which means /etc/aapfs/aapfs.conf", source);
    if (source && mount_options_name_source(sorted, source) < 0)
        return log_failure(2, "memory is short");
    int wrong = put_in_place(&given->file, sorted->config, "config") ||
                put_in_place(&given->file, is_name ? NULL : source, "config") ||
                put_in_place(&given->region, sorted->region, "region") ||
                put_in_place(&given->endpoint, sorted->endpoint, "endpoint") ||
                put_in_place(&given->state, sorted->state, "state") ||
                put_in_place(&given->state_key, sorted->state_key, "state_key");
    return wrong ? 2 : 0;
}

/* 0: go on; 1: done, as --help; 2: wrong. */
static int parse_options(int count, char **words, struct mount_arguments *arguments)
{
    static const struct option options[] = {
        {"region", required_argument, NULL, 'R'},  {"endpoint", required_argument, NULL, 'E'},
        {"state", required_argument, NULL, 'S'},   {"state-key", required_argument, NULL, 'K'},
        USAGE_OPTION,                              {"version", no_argument, NULL, 'V'},
        {"config", required_argument, NULL, 'c'},  {"dev", no_argument, NULL, 'D'},
        {0},
    };
    struct configure_words *given = &arguments->words;
    int option;
    while ((option = getopt_long(count, words, "fc:o:h", options, NULL)) != -1) {
        const char **word = option == 'c'   ? &given->file
                            : option == 'R' ? &given->region
                            : option == 'E' ? &given->endpoint
                            : option == 'S' ? &given->state
                            : option == 'K' ? &given->state_key
                                            : NULL;
        if (word) {
            *word = optarg;
        } else if (option == 'f') {
            arguments->foreground = true;
        } else if (option == 'D') {
            arguments->dev = true;
        } else if (option == 'V') {
            puts("aapfs " AAPFS_VERSION);
            return 1;
        } else if (option != 'o') {
            usage_print(option == USAGE_HELP ? stdout : stderr);
            return option == USAGE_HELP ? 1 : 2;
        } else if (mount_options_join(&arguments->options, optarg) < 0) {
            return 2;
        }
    }
    return 0;
}

/* As parse_options. */
static int parse(int count, char **words, struct mount_arguments *arguments)
{
    int r = parse_options(count, words, arguments);
    if (r != 0)
        return r;
    int left = count - optind; /* mount(8) puts a source in front */
    if (left != 1 && left != 2) {
        usage_print(stderr);
        return 2;
    }
    arguments->mountpoint = words[count - 1];
    arguments->source = words[optind];
    if (!mount_point_is_lent(arguments->source, &arguments->lent))
        arguments->source = NULL;
    else
        fcntl(arguments->lent, F_SETFD, FD_CLOEXEC);
    if (take_options(arguments, left == 2 && arguments->lent < 0 ? words[optind] : NULL) != 0)
        return 2;
    if (arguments->lent < 0 && !arguments->handover && usage_is_no_place(arguments->mountpoint))
        return usage_unknown(arguments->mountpoint);
    const struct configure_words *given = &arguments->words;
    if (arguments->dev && (given->file || given->region || given->endpoint || given->state || given->state_key))
        return log_failure(2, "--dev has a KMS and a state of its own: it goes with none of -c, --region, --endpoint, "
                              "--state and --state-key");
    return 0;
}

static int read_configuration(struct mount_arguments *arguments, struct config *config)
{
    const struct handover *handover = arguments->handover;
    char reason[256];
    if (handover)
        snprintf(arguments->words.found_region, sizeof(arguments->words.found_region), "%s", handover->region);
    /* handed over: the text that was found good, whatever is in the file by now */
    if (!arguments->dev)
        return configure_from_copy(&arguments->words, handover ? handover->descriptors[HANDOVER_CONFIG] : -1, config);
    config_defaults(config);
    return config_set_region(config, "cn-hangzhou", reason, sizeof(reason));
}

static int serve_in(const struct state_places *places, const struct config *config,
                    const struct mount_arguments *arguments, const struct dev_kms *kms, int ready)
{
    const struct configure_words *given = &arguments->words;
    const struct mount_words words = {given->file, given->region, given->endpoint,
                                      arguments->source, arguments->mountpoint};
    static char *command[ARGUMENTS_MOST]; /* for as long as the process lives */
    const struct configurer configurer = configure_again(given);
    struct state state;
    struct supervisor_parts parts = {
        .config = config, .state = &state,
        .mountpoint = arguments->mountpoint, .lent = arguments->lent,
        .options = arguments->sorted.passed_on,
        .ready = ready,
        .credentials = kms ? &kms->credentials : NULL,
        .first_listing_timeout_ms = kms ? DEV_LISTING_TIMEOUT_MS : 0,
        .to_syslog = !arguments->foreground,
        .configurer = kms ? NULL : &configurer, .arguments = command,
    };
    int r = kms ? 0 : take_over_command(&words, command, &parts.executable);
    if (r < 0)
        return log_failure(1, "start: %s", strerror(-r));
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
    struct state_places places = {0}; /* a mount is handed over with its state */
    char reason[256];
    int r = arguments->handover
                ? 0 : state_places_find(config->state, config->state_key, &places, reason, sizeof(reason));
    if (r < 0)
        return log_failure(2, "%s", reason);
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

/* A reload reads the same again, and the daemon changes its directory. */
static int take_whole_paths(struct mount_arguments *arguments, const struct config *config)
{
    struct configure_words *words = &arguments->words;
    bool file = words->file;
    if (file)
        words->file = arguments->file = configure_whole_path(words->file);
    if (words->state)
        words->state = config->state;
    if (words->state_key)
        words->state_key = config->state_key;
    return file && !words->file ? -ENOENT : 0;
}

static int run(struct config *config, struct mount_arguments *arguments)
{
    int ready = -1, status;
    char mountpoint[MOUNT_POINT_PATH_SIZE];
    if (take_whole_paths(arguments, config) < 0)
        return log_failure(2, "-c, --state, --state-key: the current directory has no path; give whole ones");
    if (!arguments->foreground && !arguments->handover) {
        /* the daemon changes its directory; what is wrong with a path, mounting says */
        if (mount_point_resolve(arguments->mountpoint, mountpoint) == 0)
            arguments->mountpoint = mountpoint;
        ready = background_start(&status);
        if (ready < 0)
            return status;
    }
    if (wiping_memory_install() < 0)
        return log_failure(1, "libcurl cannot be set up");
    return arguments->dev ? serve_dev(config, arguments, ready) : serve(config, arguments, ready);
}

int command_mount(int count, char **words)
{
    struct mount_arguments arguments = {.lent = -1};
    struct config config;
    struct handover handover;
    int handed_over = handover_read(&handover);
    if (handed_over < 0)
        return log_failure(2, "$AAPFS_HANDOVER is set, and not by a version of aapfs that this one knows");
    if (handed_over > 0) {
        arguments.handover = &handover;
        if (!handover.to_syslog)
            log_as_daemon();
    }
    int status = parse(count, words, &arguments);
    if (status == 0 && read_configuration(&arguments, &config) < 0)
        status = 2;
    else if (status == 0) {
        status = run(&config, &arguments);
        config_clear(&config);
    } else if (status == 1) {
        status = 0;
    }
    mount_options_clear(&arguments.sorted);
    free(arguments.options);
    free(arguments.file);
    return status;
}
