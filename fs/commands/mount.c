/*
 * aapfs [OPTIONS] MOUNTPOINT
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/commands/commands.h"
#include "fs/config.h"
#include "fs/log.h"
#include "fs/mount/supervisor.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/wiping_memory.h"

/* A mount is ready at once; this long it may wait for its directories. */
enum { FIRST_LISTING_TIMEOUT_MS = 800 };

static const char usage[] =
    "usage: aapfs [-f] [-c FILE] [--region REGION] [--endpoint URL] [-o OPTIONS] MOUNTPOINT\n"
    "       aapfs create|rotate [-m MOUNTPOINT] [--password-file FILE|-] AAP\n"
    "       aapfs delete [-m MOUNTPOINT] AAP CLIENT_KEY_ID\n";

struct mount_arguments {
    bool foreground;
    const char *file, *region, *endpoint, *mountpoint;
    char *options; /* every -o, joined */
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
        {"help", no_argument, NULL, 'h'},          {"version", no_argument, NULL, 'V'},
        {"config", required_argument, NULL, 'c'},  {0},
    };
    int option;
    while ((option = getopt_long(count, words, "fc:o:h", options, NULL)) != -1) {
        switch (option) {
        case 'f':
            arguments->foreground = true;
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
    return 0;
}

static int configure(const struct mount_arguments *arguments, struct config *config)
{
    char reason[640];
    const char *what = "configuration";
    int r = config_read(arguments->file, config, reason, sizeof(reason));
    if (r == 0 && arguments->region) {
        what = "--region";
        r = config_set_region(config, arguments->region, reason, sizeof(reason));
    }
    if (r == 0 && arguments->endpoint) {
        what = "--endpoint";
        r = config_set_endpoint(config, arguments->endpoint, reason, sizeof(reason));
    }
    if (r < 0)
        log_error("%s: %s", what, reason);
    return r;
}

/* Waits for the child's word, passing on what it says to stderr until then. */
static int wait_until_ready(pid_t child, int ready)
{
    char byte;
    ssize_t got;
    do
        got = read(ready, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got == 1)
        return 0;
    int status = 0;
    waitpid(child, &status, 0); /* it has said why */
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

/* In the child: no terminal, no directory, stdin and stdout to nowhere. */
static int leave_terminal(void)
{
    _cleanup_(close) int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere < 0 || setsid() < 0 || chdir("/") < 0 || dup2(nowhere, 0) < 0 ||
        dup2(nowhere, 1) < 0)
        return -errno;
    return 0;
}

static int serve(const struct config *config, const struct mount_arguments *arguments, int ready)
{
    const struct supervisor_parts parts = {
        .config = config,
        .mountpoint = arguments->mountpoint,
        .options = arguments->options,
        .ready = ready,
        .first_listing_timeout_ms = FIRST_LISTING_TIMEOUT_MS,
    };
    return supervisor_run(&parts);
}

static int serve_in_background(const struct config *config, struct mount_arguments *arguments)
{
    int ready[2];
    /* the child changes its directory */
    _cleanup_(free) char *mountpoint = realpath(arguments->mountpoint, NULL);
    if (!mountpoint) {
        log_error("%s: %s", arguments->mountpoint, strerror(errno));
        return 1;
    }
    arguments->mountpoint = mountpoint;
    if (pipe2(ready, O_CLOEXEC) < 0) {
        log_error("start: %s", strerror(errno));
        return 1;
    }
    pid_t child = fork();
    if (child < 0) {
        log_error("fork: %s", strerror(errno));
        return 1;
    }
    if (child > 0) {
        close(ready[1]);
        return wait_until_ready(child, ready[0]);
    }
    close(ready[0]);
    int r = leave_terminal();
    if (r < 0) {
        log_error("start: %s", strerror(-r));
        return 1;
    }
    return serve(config, arguments, ready[1]);
}

int command_mount(int count, char **words)
{
    struct mount_arguments arguments = {0};
    struct config config;
    int status = parse(count, words, &arguments);
    if (status == 0 && configure(&arguments, &config) < 0)
        status = 2;
    else if (status == 0) {
        if (wiping_memory_install() < 0) {
            log_error("libcurl cannot be set up");
            status = 1;
        } else if (arguments.foreground) {
            status = serve(&config, &arguments, -1);
        } else {
            status = serve_in_background(&config, &arguments);
        }
        config_clear(&config);
    } else if (status == 1) {
        status = 0;
    }
    free(arguments.options);
    return status;
}
