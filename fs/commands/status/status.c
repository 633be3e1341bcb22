/* aapfs status [-m MOUNTPOINT] [--json] [AAP] */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "fs/base/usage.h"
#include "fs/commands/commands.h"
#include "fs/commands/status/status_judge.h"
#include "fs/commands/status/status_read.h"
#include "fs/commands/status/status_table.h"
#include "fs/config/config.h"

enum { WIDTH = 130 };

static struct status_style find_style(int64_t now)
{
    struct status_style style = {.width = WIDTH, .now = now};
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return style;
    style.terminal = true;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        style.width = size.ws_col;
    style.colours = !(no_color && *no_color) && terminal && strcmp(terminal, "dumb") != 0;
    return style;
}

static void print_json(const json_t *all)
{
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
}

/* Whether somebody is needed; SAY: what for, a line each. */
static bool advise(const char *mountpoint, const json_t *mount, const json_t *aaps, int64_t now, bool say)
{
    const json_t *aap;
    size_t i;
    const char *advice = status_mount_advice(mount, now);
    bool needed = advice;
    if (advice && say)
        status_print_advice(stdout, mountpoint, advice);
    json_array_foreach(aaps, i, aap) {
        const char *name = json_string_value(json_object_get(aap, "AapName"));
        advice = status_aap_advice(aap, now);
        needed = needed || advice;
        if (advice && say)
            status_print_advice(stdout, name ? name : "-", advice);
    }
    return needed;
}

static int show(const char *mountpoint, const char *aap_name, bool as_json)
{
    _cleanup_(json) json_t *all = status_read(mountpoint, aap_name);
    if (!all)
        return 1;
    const json_t *mount = json_object_get(all, "Mount"), *aaps = json_object_get(all, "Aaps");
    int64_t now = time(NULL) + json_integer_value(json_object_get(mount, "ClockOffsetMilliseconds")) / 1000;
    const struct status_style style = find_style(now);
    if (as_json) {
        print_json(all);
    } else if (aap_name) {
        status_print_aap(stdout, json_array_get(aaps, 0), &style);
    } else {
        status_print_mount(stdout, mount, &style);
        status_print_aaps(stdout, aaps, &style);
    }
    bool needed = advise(mountpoint, mount, aaps, now, !as_json);
    return fflush(stdout) == 0 ? needed : 1;
}

int command_status(int count, char **words)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, USAGE_OPTION, {0}};
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT;
    bool as_json = false;
    int option;
    while ((option = getopt_long(count, words, "m:h", options, NULL)) != -1) {
        if (option == 'm')
            mountpoint = optarg;
        else if (option == 'j')
            as_json = true;
        else
            return usage_end(words[0], option);
    }
    if (count - optind > 1 || (optind < count && !config_aap_name_is_shown(words[optind])))
        return usage_end(words[0], '?');
    return show(mountpoint, words[optind], as_json);
}
