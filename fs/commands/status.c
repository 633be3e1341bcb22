/*
 * aapfs status [-m MOUNTPOINT] [--json]
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "fs/commands/commands.h"
#include "fs/log.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/iso_time.h"

enum { SOON_SECONDS = 7 * 86400 };

DEFINE_CLEANUP(json, json_t *, json_decref)
DEFINE_CLEANUP(closedir, DIR *, closedir)

/* An error is told. */
static json_t *read_status(int mount, const char *mountpoint, const char *directory)
{
    char path[512];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/status", directory);
    _cleanup_(close) int file = openat(mount, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        log_error("%s/%s: %s", mountpoint, path,
                  errno == ENOENT ? "not there: is aapfs mounted?" : strerror(errno));
        return NULL;
    }
    json_t *status = json_loadfd(file, 0, &error);
    if (!status)
        log_error("%s/%s: %s", mountpoint, path, error.text);
    return status;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* The AAPs' directories, sorted. */
static int list_names(int mount, char ***names, size_t *count)
{
    int again = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(closedir) DIR *directory = again < 0 ? NULL : fdopendir(again);
    const struct dirent *entry;
    *names = NULL;
    *count = 0;
    if (!directory)
        return -errno;
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        char **grown = reallocarray(*names, *count + 1, sizeof(**names));
        if (grown)
            *names = grown;
        char *name = grown ? strdup(entry->d_name) : NULL;
        if (!name) {
            free_names(*names, *count);
            return -ENOMEM;
        }
        (*names)[(*count)++] = name;
    }
    if (*count)
        qsort(*names, *count, sizeof(**names), compare_names);
    return 0;
}

/* Every AAP's status, in the order of the names. */
static json_t *read_aaps(int mount, const char *mountpoint)
{
    char **names;
    size_t count;
    int r = list_names(mount, &names, &count);
    if (r < 0) {
        log_error("%s: %s", mountpoint, strerror(-r));
        return NULL;
    }
    json_t *aaps = json_array();
    for (size_t i = 0; aaps && i < count; i++) {
        json_t *status = read_status(mount, mountpoint, names[i]);
        if (!status || json_array_append_new(aaps, status) < 0) {
            json_decref(aaps);
            aaps = NULL;
        }
    }
    free_names(names, count);
    return aaps;
}

static const char *text_of(const json_t *aap, const char *name)
{
    const char *text = json_string_value(json_object_get(aap, name));
    return text ? text : "-";
}

static bool needs_somebody(const json_t *aap)
{
    const char *state = text_of(aap, "State"), *not_after = text_of(aap, "NotAfter");
    int64_t end;
    if (strcmp(state, "failing") == 0 || strcmp(state, "expired") == 0 ||
        strcmp(state, "deleted") == 0)
        return true;
    return iso_time_parse(not_after, strlen(not_after), &end) == 0 &&
           end - time(NULL) < SOON_SECONDS;
}

static void print_table(const json_t *aaps)
{
    size_t i;
    const json_t *aap;
    int width = 3;
    json_array_foreach(aaps, i, aap) {
        int size = (int)strlen(text_of(aap, "AapName"));
        width = size > width ? size : width;
    }
    printf("%-*s  %-9s  %-41s  %s\n", width, "AAP", "STATE", "CLIENT KEY ID", "NOT AFTER");
    json_array_foreach(aaps, i, aap)
        printf("%-*s  %-9s  %-41s  %s\n", width, text_of(aap, "AapName"), text_of(aap, "State"),
               text_of(aap, "ClientKeyId"), text_of(aap, "NotAfter"));
}

static int show(const char *mountpoint, bool as_json)
{
    _cleanup_(close) int mount = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mount < 0) {
        log_error("%s: %s", mountpoint, strerror(errno));
        return 1;
    }
    _cleanup_(json) json_t *status = read_status(mount, mountpoint, ".aapfs");
    _cleanup_(json) json_t *aaps = status ? read_aaps(mount, mountpoint) : NULL;
    if (!aaps)
        return 1;
    size_t i;
    const json_t *aap;
    int result = 0;
    json_array_foreach(aaps, i, aap)
        if (needs_somebody(aap))
            result = 1;
    if (as_json) {
        _cleanup_(json) json_t *all = json_pack("{s:O, s:O}", "Mount", status, "Aaps", aaps);
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print_table(aaps);
    }
    return fflush(stdout) == 0 ? result : 1;
}

int command_status(int count, char **words)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT;
    bool as_json = false;
    int option;
    while ((option = getopt_long(count, words, "m:", options, NULL)) != -1) {
        if (option == 'm')
            mountpoint = optarg;
        else if (option == 'j')
            as_json = true;
        else
            return 2;
    }
    if (optind < count) {
        fputs("usage: aapfs status [-m MOUNTPOINT] [--json]\n", stderr);
        return 2;
    }
    return show(mountpoint, as_json);
}
