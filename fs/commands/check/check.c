/* aapfs check [-c FILE] [-m MOUNTPOINT] */
#include "fs/commands/check/check.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/usage.h"
#include "fs/commands/check/check_runner.h"
#include "fs/commands/commands.h"
#include "fs/commands/mount/find_region.h"
#include "fs/config/file.h"
#include "fs/mount/privileges.h"
#include "kmsapi/wiping_memory.h"

static bool wants_colours(void)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal && strcmp(terminal, "dumb") != 0;
}

/* What a supervisor does as root is before, and after it what a worker does: files that only root may read are not its. */
static bool be_like_worker(struct check *check)
{
    int r = privileges_keep_only(0);
    if (r < 0)
        check_error(check, "capabilities", "they cannot be dropped: %s", strerror(-r));
    return r == 0;
}

static void look_at_all(struct check *check)
{
    check_state(check);
    check_mount(check);
    if (!be_like_worker(check))
        return;
    check_settings(check);
    check_network(check);
    check_credentials(check);
    if (check->reachable && check->source)
        check_kms(check);
    credentials_source_free(check->source);
    check_fleet(check);
    check_aaps(check);
}

static void free_aaps(struct check *check)
{
    for (size_t i = 0; i < check->aap_count; i++)
        free(check->aaps[i].name);
    free(check->aaps);
}

/* As a mount does where the configuration names none. */
static bool find_its_region(struct check *check, struct config *config)
{
    char reason[640];
    if (config->region[0])
        return true;
    if (find_region(config, reason, sizeof(reason)) < 0)
        check_error(check, "region", "%s", reason);
    else
        check_ok(check, "region", "%s, by %s", config->region, reason);
    return config->region[0];
}

/* The exit status. */
static int run(const char *file, const char *mountpoint)
{
    char reason[640];
    int status = 0;
    struct config config;
    struct check check = {.config = &config, .mountpoint = mountpoint, .colours = wants_colours()};
    if (config_read(file, &config, reason, sizeof(reason)) < 0) {
        check_error(&check, "configuration", "%s", reason);
        return 2;
    }
    if (config.file[0])
        check_ok(&check, "configuration", "%s", config.file);
    else
        check_ok(&check, "configuration", "there is no file; the defaults hold");
    struct check_runner runner;
    check_runner_start(&runner, mountpoint);
    check.runs = runner.runs;
    if (find_its_region(&check, &config))
        look_at_all(&check);
    else
        status = 2;
    check_runner_end(&runner);
    free_aaps(&check);
    config_clear(&config);
    if (fflush(stdout) != 0)
        return 1;
    return status ? status : check.errors ? 1 : 0;
}

int command_check(int count, char **words)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, USAGE_OPTION, {0}};
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT, *file = NULL;
    int option;
    while ((option = getopt_long(count, words, "c:m:h", options, NULL)) != -1) {
        if (option == 'm')
            mountpoint = optarg;
        else if (option == 'c')
            file = optarg;
        else
            return usage_end(words[0], option);
    }
    if (optind < count)
        return usage_end(words[0], '?');
    int r = privileges_hide_memory();
    if (r == 0)
        r = wiping_memory_install();
    if (r < 0) {
        log_error("check: %s", strerror(-r));
        return 1;
    }
    return run(file, mountpoint);
}
