#include "fs/commands/mount/mount_options.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/reason.h"

/*
 * For mount(8), the boot or systemd, and already done; and what this mount always or never is. mount.fuse3 writes dev
 * and suid by itself: that they have no effect is said in mount.aapfs(8).
 *
 * Source: mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS", and libmount's negations of them.
 */
static const char *const dropped[] = {
    "auto", "noauto", "nofail", "_netdev", "defaults", "comment=*", "x-*", "X-*", "user", "user=*", "nouser", "users", "nousers",
    "owner", "noowner", "group", "nogroup", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "noatime", "atime",
    /* of times that never change by a read or a write, and of locks and versions that FUSE has not */
    "relatime", "norelatime", "strictatime", "nostrictatime", "diratime", "nodiratime", "lazytime", "nolazytime",
    "iversion", "noiversion", "mand", "nomand", "silent", "loud",
};

static const struct {
    const char *pattern, *why;
} refused[] = {
    {"remount", "a mount is not mounted again; `aapfs reload -m MOUNTPOINT` reads its configuration"},
    {"subtype=*", "aapfs gives the type itself"},
    {"fd=*", "a descriptor is not taken this way"},
};

int mount_options_join(char **options, const char *more)
{
    char *joined;
    if (asprintf(&joined, "%s%s%s", *options ? *options : "", *options ? "," : "", more) < 0)
        return -ENOMEM;
    free(*options);
    *options = joined;
    return 0;
}

static char **find_own(struct mount_options *options, char *text, char **value, bool *is_path)
{
    const struct {
        const char *name;
        char **place;
        bool is_path;
    } own[] = {
        {"config=", &options->config, true}, {"region=", &options->region, false}, {"endpoint=", &options->endpoint, false},
        {"state=", &options->state, true}, {"state_key=", &options->state_key, true},
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strncmp(text, own[i].name, strlen(own[i].name)) == 0) {
            *value = text + strlen(own[i].name);
            *is_path = own[i].is_path;
            return own[i].place;
        }
    return NULL;
}

/* "a,b": what stands in the quotation marks. */
static char *unquote(char *value)
{
    size_t length = strlen(value);
    if (length < 2 || value[0] != '"' || value[length - 1] != '"')
        return value;
    value[length - 1] = '\0';
    return value + 1;
}

/* As libfuse takes it: a comma or backslash within an option has a backslash in front. */
static int pass_on(struct mount_options *options, const char *text)
{
    size_t before = options->passed_on ? strlen(options->passed_on) : 0;
    char *longer = realloc(options->passed_on, before + 2 * strlen(text) + 2);
    if (!longer)
        return -ENOMEM;
    options->passed_on = longer;
    char *end = longer + before;
    if (before > 0)
        *end++ = ',';
    for (; *text; text++) {
        if (*text == ',' || *text == '\\')
            *end++ = '\\';
        *end++ = *text;
    }
    *end = '\0';
    return 0;
}

static bool is_dropped(const char *text)
{
    for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
        if (fnmatch(dropped[i], text, 0) == 0)
            return true;
    return false;
}

static int sort_one(struct mount_options *options, char *text, char *reason, size_t size)
{
    char *value = NULL;
    bool is_path = false;
    char **place = find_own(options, text, &value, &is_path);
    if (!*text || is_dropped(text))
        return 0;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (fnmatch(refused[i].pattern, text, 0) == 0)
            return reason_give(reason, size, -EINVAL, "-o %s: %s", text, refused[i].why);
    if (!place)
        return pass_on(options, text);
    int name_length = (int)(value - text - 1);
    value = unquote(value);
    const char *wrong = *place ? "given twice" : !*value ? "without a value" : NULL;
    if (!wrong && is_path && value[0] != '/')
        wrong = "right is a path from the root, as mount(8) may be called anywhere";
    if (wrong)
        return reason_give(reason, size, -EINVAL, "-o %.*s: %s", name_length, text, wrong);
    *place = strdup(value);
    return *place ? 0 : -ENOMEM;
}

int mount_options_sort(const char *given, struct mount_options *options, char *reason, size_t size)
{
    char *copy = strdup(given), *text = copy;
    int r = copy ? 0 : -ENOMEM;
    snprintf(reason, size, "-o: memory is short");
    while (r == 0 && text) {
        char *end = text;
        bool quoted = false; /* context="a:b:c0,c1" */
        for (; *end && (quoted || *end != ','); end++)
            quoted ^= *end == '"';
        char *next = *end ? end + 1 : NULL;
        *end = '\0';
        if (quoted) {
            snprintf(reason, size, "-o %s: a quotation mark is missing", text);
            r = -EINVAL;
        } else {
            r = sort_one(options, text, reason, size);
        }
        text = next;
    }
    free(copy);
    return r;
}

int mount_options_name_source(struct mount_options *options, const char *source)
{
    char *name = NULL, *given = options->passed_on;
    if (asprintf(&name, "fsname=%s", source) < 0)
        return -ENOMEM;
    options->passed_on = NULL;
    int r = pass_on(options, name);
    if (r == 0 && given)
        r = mount_options_join(&options->passed_on, given);
    free(given);
    free(name);
    return r;
}

void mount_options_clear(struct mount_options *options)
{
    free(options->config);
    free(options->region);
    free(options->endpoint);
    free(options->state);
    free(options->state_key);
    free(options->passed_on);
    *options = (struct mount_options){0};
}
